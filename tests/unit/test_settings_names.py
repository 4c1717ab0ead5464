"""A variable that no service reads stops the start, and all that is wrong is told at once."""

import pytest

import audit_api.__main__ as audit_api
import audit_log.cli.commands as audit_log
import proxy.__main__ as proxy
from audit_api.push.push_settings import PushSettings
from audit_api.settings import AuditApiSettings
from audit_log.cli.arguments import parse
from audit_log.process.environment import Formerly, Settings
from audit_log.process.reading import SettingsReading
from audit_log.process.settings import AuditLogSettings, IngestSettings, NatsSettings
from audit_log.process.variables import SETTINGS
from proxy.settings import ProxySettings

KINDS: list[type[Settings]] = [
    AuditLogSettings,
    NatsSettings,
    IngestSettings,
    ProxySettings,
    AuditApiSettings,
    PushSettings,
]
PROGRAMS = {
    "proxy": lambda: proxy.main([]),
    "audit API": lambda: audit_api.main([]),
    "migrate": lambda: audit_log.main(["migrate"]),
    "purge": lambda: audit_log.main(["purge"]),
    "ingest": lambda: audit_log.main(["ingest"]),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("AUDIT_LOG_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/no")
    monkeypatch.setenv("AUDIT_LOG_NATS_URLS", "nats://127.0.0.1:1")
    monkeypatch.setenv("PROXY_UPSTREAM_URL", "http://127.0.0.1:1")


def stopped(program, capsys):
    with pytest.raises(SystemExit) as end:
        program()
    assert end.value.code == 78
    return capsys.readouterr().err.splitlines()


def names_of(kind):
    prefix = kind.model_config["env_prefix"]
    for field, info in kind.model_fields.items():
        yield f"{prefix}{field}".upper()
        yield from (mark.name for mark in info.metadata if isinstance(mark, Formerly))
    yield from kind.removed


def test_the_names_of_all_settings_are_known_to_each_service():
    assert {name for kind in KINDS for name in names_of(kind)} == SETTINGS


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("AUDIT_LOG_RETENTION_DAY", "did you mean AUDIT_LOG_RETENTION_DAYS?"),
        ("AUDIT_API_READER_ROLE", "did you mean AUDIT_API_READER_ROLES?"),
        ("AUDIT_API_RETENTION_DAYS", "did you mean AUDIT_LOG_RETENTION_DAYS?"),
        ("PROXY_TOKEN_POLCY", "did you mean PROXY_TOKEN_POLICY?"),
        ("proxy_upstream", "did you mean PROXY_UPSTREAM_URL?"),
        ("PROXY_XYZZY_42", "remove it"),
    ],
)
def test_a_variable_that_no_service_reads_stops_each(monkeypatch, capsys, program, name, advice):
    monkeypatch.setenv(name, "s3cret")

    assert stopped(program, capsys) == [f"{name.upper()} is no setting: {advice}"]


SERVICE_LINKS = {
    "PROXY_SERVICE_HOST": "10.0.0.1",
    "PROXY_SERVICE_PORT": "8100",
    "PROXY_SERVICE_PORT_HTTP": "8100",
    "PROXY_PORT": "tcp://10.0.0.1:8100",
    "PROXY_PORT_8100_TCP": "tcp://10.0.0.1:8100",
    "PROXY_PORT_8100_TCP_PROTO": "tcp",
    "PROXY_PORT_8100_TCP_PORT": "8100",
    "PROXY_PORT_8100_TCP_ADDR": "10.0.0.1",
    "PROXY_OPS_SERVICE_HOST": "10.0.0.2",
    "PROXY_OPS_PORT": "tcp://10.0.0.2:8109",
    "AUDIT_API_PORT": "tcp://10.0.0.3:8110",
    "AUDIT_API_SERVICE_HOST": "10.0.0.3",
    "AUDIT_LOG_DB_PORT_5432_TCP": "tcp://10.0.0.4:5432",
}
OF_OTHERS = {
    "AUDIT_API_READER_ROLES": "admin",
    "PROXY_TOKEN_POLICY": "observe",
    "AUDIT_LOG_INGEST_OPS_PORT": "8108",
    "PROXY_PASSWORD": "s3cret",
    "AUDIT_API_PASSWORD": "s3cret",
    "PROXY_EXPRESS_LANE": "on",
    "PROXY_JOURNAL_HEAD_BYTES": "2097152",
    "HTTP_PROXY": "http://10.0.0.9",
}


def test_what_kubernetes_and_compose_set_or_another_service_reads_is_let_be(monkeypatch):
    for name, value in {**SERVICE_LINKS, **OF_OTHERS}.items():
        monkeypatch.setenv(name, value)
    reading = SettingsReading()
    for kind in KINDS:
        assert reading.read(kind) is not None

    assert reading.complaints() == []


def test_the_address_of_a_kubernetes_service_is_not_taken_for_a_port(monkeypatch):
    monkeypatch.setenv("PROXY_PORT", "tcp://10.0.0.1:8100")
    monkeypatch.setenv("AUDIT_API_PORT", "udp://10.0.0.1:8110")

    assert ProxySettings().port == 8100
    assert AuditApiSettings().port == 8110


def test_all_that_is_missing_or_wrong_is_told_at_once(monkeypatch, capsys):
    monkeypatch.delenv("AUDIT_LOG_DATABASE_URL")
    monkeypatch.delenv("PROXY_UPSTREAM_URL")
    monkeypatch.delenv("AUDIT_LOG_NATS_URLS")
    monkeypatch.setenv("AUDIT_LOG_LOG_LEVEL", "s3cret")
    monkeypatch.setenv("PROXY_PORT", "s3cret")
    monkeypatch.setenv("PROXY_XYZZY", "s3cret")

    told = stopped(PROGRAMS["proxy"], capsys)
    assert [line.replace(":", " ").split()[0] for line in told] == [
        *("AUDIT_LOG_DATABASE_URL", "AUDIT_LOG_LOG_LEVEL", "PROXY_UPSTREAM_URL", "PROXY_PORT"),
        "PROXY_XYZZY",
    ]
    assert "s3cret" not in "".join(told)

    monkeypatch.setenv("PROXY_UPSTREAM_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("PROXY_PORT", "0")
    monkeypatch.setenv("PROXY_SINK", "nats")
    assert "AUDIT_LOG_NATS_URLS is not set" in stopped(PROGRAMS["proxy"], capsys)
    assert len(stopped(PROGRAMS["ingest"], capsys)) == 4


@pytest.mark.parametrize("roles", ["root", "admin,vewer", "Admin", "admin operator"])
def test_a_reader_role_that_does_not_exist_stops_the_audit_api(monkeypatch, capsys, roles):
    monkeypatch.setenv("AUDIT_API_READER_ROLES", roles)

    [told] = stopped(PROGRAMS["audit API"], capsys)
    assert told.startswith("AUDIT_API_READER_ROLES: names a role that does not exist")
    assert told.endswith("there are viewer, operator, admin")


@pytest.mark.parametrize("main", [proxy.main, audit_api.main, audit_log.main])
def test_help_and_version_are_told_without_any_setting(monkeypatch, capsys, main):
    for name in ("AUDIT_LOG_DATABASE_URL", "PROXY_UPSTREAM_URL"):
        monkeypatch.delenv(name)
    for asked, answer in (("--help", "usage: "), ("--version", "podwarden-audit ")):
        with pytest.raises(SystemExit) as end:
            main([asked])
        assert end.value.code == 0
        assert capsys.readouterr().out.startswith(answer)


@pytest.mark.parametrize(
    ("main", "words"),
    [(proxy.main, []), (audit_api.main, []), (audit_log.main, ["ingest"])],
)
@pytest.mark.parametrize("argument", ["--port=8100", "-x", "serve"])
def test_an_argument_that_is_not_known_is_not_ignored(capsys, main, words, argument):
    with pytest.raises(SystemExit) as end:
        main([*words, argument])
    assert end.value.code == 2
    assert argument in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("PROXY_UPSTREAM_URL", "http://me:s3cret@podwarden", "must not carry a user name"),
        ("PROXY_UPSTREAM_URL", "http://s3cret@podwarden", "must not carry a user name"),
        ("PROXY_HUB_URL", "wss://me:s3cret@hub", "must not carry a user name"),
        ("PROXY_AUDIT_API_URL", "http://me:s3cret@audit", "must not carry a user name"),
        ("PROXY_AUDITED_PATHS", "", "names no path"),
        ("PROXY_AUDITED_PATHS", " , ", "names no path"),
        ("PROXY_AUDITED_PATHS", "/api/,,/v2/", "has a comma too many"),
        ("PROXY_MCP_PATH", "/", "must begin with a slash and name a path"),
        ("PROXY_MCP_PATH", "mcp", "must begin with a slash and name a path"),
        ("PROXY_MCP_CLAIMS", "com.example/run,*", "must name each field: * stands for none"),
        ("PROXY_PRINCIPAL_HEADER", "X-User:", "must be the name of a header field"),
        ("PROXY_PRINCIPAL_HEADER", "Cookie", "must not name a field that carries a secret"),
        ("PROXY_PRINCIPAL_HEADER", "Mcp-Session-Id", "must not name a field that carries a"),
    ],
)
def test_a_value_that_would_have_no_effect_stops_the_proxy(
    monkeypatch, capsys, name, value, complaint
):
    monkeypatch.setenv(name, value)

    [told] = stopped(PROGRAMS["proxy"], capsys)
    assert told.startswith(f"{name}: {complaint}")
    assert "s3cret" not in told


@pytest.mark.parametrize("command", ["migrate", "purge", "convert", "ingest"])
def test_the_help_of_each_command_says_what_it_does_and_how_it_exits(capsys, command):
    with pytest.raises(SystemExit):
        parse([command, "--help"], "podwarden-audit")

    _, description, *_ = capsys.readouterr().out.split("\n\n")
    assert description[0].isupper()
    assert "Exits with 0, with 1 if that failed, with 78" in " ".join(description.split())
