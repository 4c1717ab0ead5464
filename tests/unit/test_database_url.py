"""What a PostgreSQL URL may ask for: understood, without effect, or refused at start."""

import pytest
from pydantic import ValidationError

from audit_log.process.reading import read_settings
from audit_log.process.settings import AuditLogSettings
from audit_log.process.url_parameters import for_driver, without_effect

URL = "postgresql://a:s3cret@db/c"


@pytest.mark.parametrize(
    "parameters",
    [
        *("channel_binding=prefer", "connect_timeout=10", "keepalives=1", "keepalives_idle=30"),
        *("gssencmode=prefer", "pgbouncer=true", "client_encoding=auto", "sslsni=1"),
        *("load_balance_hosts=disable", "tcp_user_timeout=0", "application_name=x"),
    ],
)
def test_a_parameter_without_effect_does_not_reach_the_driver(parameters):
    url = f"{URL}?sslmode=require&{parameters}&target_session_attrs=any"
    AuditLogSettings(database_url=url)

    assert for_driver(url) == f"{URL}?sslmode=require&target_session_attrs=any"
    assert without_effect(url) == [parameters.partition("=")[0]]


@pytest.mark.parametrize(
    "parameters",
    [
        *("timezone=UTC", "options=-c%20search_path%3Daudit", "search_path=audit"),
        *("sslnegotiation=direct&sslmode=require", "target_session_attrs=read-write"),
    ],
)
def test_a_parameter_that_is_understood_is_passed_as_it_is(parameters):
    url = f"{URL}?{parameters}"
    AuditLogSettings(database_url=url)

    assert for_driver(url) == url
    assert without_effect(url) == []


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ("channel_binding=require", "channel_binding=require is not supported"),
        ("gssencmode=require", "gssencmode=require is not supported"),
        ("require_auth=scram-sha-256", "require_auth is not supported"),
        ("hostaddr=10.0.0.1", "hostaddr is not supported"),
        ("sslmod=require", "has no parameter sslmod: did you mean sslmode?"),
        ("nonsense=1", "has no parameter nonsense"),
        ("sslmode=nonsense", "sslmode must be one of"),
        ("sslnegotiation=direct", "needs sslmode=require"),
        ("target_session_attrs=s3cret", "target_session_attrs must be one of"),
        ("port=s3cret", "port must be a number"),
        ("port=70000", "port must be a number"),
        ("port=5433", "port belongs before the `?`"),
        ("host=elsewhere", "host belongs before the `?`"),
        ("user=b", "user belongs before the `?`"),
        ("dbname=d", "dbname belongs before the `?`"),
        ("sslmode=verify-full", "sslmode=verify-full needs sslrootcert"),
        ("sslcrl=/s3cret", "sslcrl names no file"),
        ("sslmode=", "has a parameter without a value"),
        ("sslmode", "has a parameter without a value"),
        ("sslmode=require&sslmode=disable", "gives sslmode more than once"),
        ("options=%zz", "has a `%` without two hexadecimal digits: write %25"),
    ],
)
def test_a_parameter_that_cannot_work_stops_the_start(
    monkeypatch, capsys, tmp_path, parameters, complaint
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AUDIT_LOG_DATABASE_URL", f"{URL}?{parameters}")
    with pytest.raises(SystemExit) as stopped:
        read_settings(AuditLogSettings)

    said = capsys.readouterr().err
    assert stopped.value.code == 78
    assert said.startswith("AUDIT_LOG_DATABASE_URL: ")
    assert complaint in said
    assert "s3cret" not in said


def test_each_thing_that_is_wrong_is_named():
    with pytest.raises(ValidationError, match=r"has no parameter one; has no parameter two"):
        AuditLogSettings(database_url=f"{URL}?one=1&two=2")


@pytest.mark.parametrize(
    ("parameters", "is_possible"),
    [
        ("host=/run/postgresql&port=5433", True),
        ("host=one,two&port=5432", True),
        ("host=one,two&port=5432,5433&user=a&dbname=c", True),
        ("host=one,two&port=1,2,3", False),
        ("host=one,,two", False),
    ],
)
def test_the_place_may_stand_in_the_parameters(parameters, is_possible):
    url = f"postgresql:///?{parameters}"
    if is_possible:
        assert for_driver(url) == url
        AuditLogSettings(database_url=url)
    else:
        with pytest.raises(ValidationError):
            AuditLogSettings(database_url=url)


@pytest.mark.parametrize(
    "place",
    [
        *(
            "db",
            "db:5433",
            "a@db",
            "a:b@db:5433",
            "10.0.0.1:5432",
            "[2001:db8::1]",
            "a@[::1]:5432",
        ),
        *("a@[::1]:5432", "a:b@one:5432,two:5433", "a@one,two", "one:1,[::1]:65535", ""),
        *("a:b@", "a:%40%2F%3A@db", "a@%2Frun%2Fpostgresql", "a@db_1.example.com"),
    ],
)
def test_one_or_several_hosts_with_ports_are_taken(place):
    AuditLogSettings(database_url=f"postgresql://{place}/c")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("postgresql://db:x/c", "has no port or host that makes sense"),
        ("postgresql://db:0/c", "has no port or host that makes sense"),
        ("postgresql://db:65536/c", "has no port or host that makes sense"),
        ("postgresql://one:5432,two:x/c", "has no port or host that makes sense"),
        ("postgresql://one,,two/c", "has no port or host that makes sense"),
        ("postgresql://::1/c", "has no port or host that makes sense"),
        ("postgresql://a:s3cr@et@db/c", "contains an `@` too many: write %40"),
        ("postgresql://a:12/s3cret@db/c", "contains an `@` too many: write %40"),
        ("postgresql://a:s3cr#et@db/c", "contains `#`: write %23"),
        ("mysql://a:s3cret@db/c", "is not a postgresql:// URL"),
        ("s3cret", "is not a postgresql:// URL"),
        ("", "is not a postgresql:// URL"),
    ],
)
def test_a_url_that_could_be_misread_is_refused_without_being_quoted(
    monkeypatch, capsys, url, complaint
):
    monkeypatch.setenv("AUDIT_LOG_DATABASE_URL", url)
    with pytest.raises(SystemExit):
        read_settings(AuditLogSettings)

    said = capsys.readouterr().err
    assert said.startswith(f"AUDIT_LOG_DATABASE_URL: {complaint}")
    assert "s3cr" not in said
