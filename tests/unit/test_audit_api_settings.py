import pytest

from audit_api.settings import AuditApiSettings
from audit_log.process.reading import read_settings
from audit_log.tokens import DEFAULT_TOKEN_QUERY


def test_the_defaults_are_the_documented_ones(monkeypatch):
    settings = AuditApiSettings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8110)
    assert settings.reader_roles == {"admin"}
    assert settings.auth_url is None
    assert settings.token_prefix == "pwm_"
    assert settings.token_query == DEFAULT_TOKEN_QUERY
    assert settings.token_database_url is None


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("admin", {"admin"}),
        ("admin,operator", {"admin", "operator"}),
        (" admin , operator ,", {"admin", "operator"}),
        ("viewer", {"viewer"}),
    ],
)
def test_reader_roles_are_separated_by_commas(monkeypatch, text, roles):
    monkeypatch.setenv("AUDIT_API_READER_ROLES", text)
    assert AuditApiSettings().reader_roles == roles


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("AUDIT_API_READER_ROLES", " , ", "names no role"),
        ("AUDIT_API_READER_ROLES", "admin,,operator", "has a comma too many"),
        ("AUDIT_API_READER_ROLES", ",admin", "has a comma too many"),
        ("AUDIT_API_TOKEN_DATABASE_URL", "postgresql://me:%zs3cret@db/x", "write %25"),
        ("AUDIT_API_PORT", "65536", "less than or equal to 65535"),
        ("AUDIT_API_PORT", "s3cret", "valid integer"),
        ("AUDIT_API_AUTH_URL", "ftp://podwarden", "URL scheme should be 'http' or 'https'"),
        ("AUDIT_API_AUTH_URL", "", "valid URL"),
        ("AUDIT_API_AUTH_URL", "http://me:s3cret@podwarden/", "must not carry a user name"),
        ("AUDIT_API_TOKEN_PREFIX", "", "at least 1 character"),
        ("AUDIT_API_TOKEN_DATABASE_URL", "mysql://me:s3cret@db/x", "postgresql:// URL"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line_that_names_it(
    monkeypatch, capsys, name, value, complaint
):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        read_settings(AuditApiSettings)
    said = capsys.readouterr().err
    assert stopped.value.code == 78
    assert said.startswith(f"{name}: ")
    assert complaint in said
    assert said.count("\n") == 1
    assert "s3cret" not in said
