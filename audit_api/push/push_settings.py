"""Settings of the push, from the environment."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from audit_log.process.shared_settings import OpsPort, OpsSettings
from audit_log.process.tls import KeyPair, key_pair
from audit_log.webhooks import signing_key

_SCHEMES: Final = {"tls", "tcp"}


def _syslog_url(value: str) -> str:
    parts = urlsplit(value)
    has_port = parts.port is not None  # raises ValueError if that is no number
    if parts.scheme not in _SCHEMES or not parts.hostname or not has_port:
        raise ValueError("write tls://host:port, or tcp://host:port without encryption")
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ValueError("write http://host:4318/v1/logs or https://…, without a password")
    return value


def _page_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise ValueError("write https://host/settings/mcp/activity, as readers open it")
    return value


def _webhook_url(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ValueError("write http://… or https://…, without a user name or password")
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    _ = signing_key(value.get_secret_value())
    return value


def _header(value: SecretStr) -> SecretStr:
    name, separator, told = value.get_secret_value().partition(":")
    if not separator or not name.strip() or not told.strip() or not told.isprintable():
        raise ValueError("write one header field, `Authorization: Bearer …`")
    return value


class PushSettings(OpsSettings):
    """Where the log is pushed to, and where the marks are kept."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_PUSH_")

    ops_port: OpsPort = 8109
    dir: Path = Field(
        default=Path("push"), description="folder of the marks; must outlive the process"
    )
    otlp_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        default=None, description="receiver of OTLP logs over HTTP, `https://host:4318/v1/logs`"
    )
    otlp_header: Annotated[SecretStr, AfterValidator(_header)] | None = Field(
        default=None, description="its credentials: `Authorization: Bearer …`"
    )
    syslog_url: Annotated[str, AfterValidator(_syslog_url)] | None = Field(
        default=None, description="receiver of syslog (RFC 5424), `tls://host:6514`"
    )
    ca_file: Path | None = Field(
        default=None, description="verifies receivers; the system's if not set"
    )
    client_certificate_file: Path | None = Field(
        default=None, description="PEM, for receivers that ask for one"
    )
    client_key_file: Path | None = Field(default=None, description="its key")
    since: datetime | None = Field(
        default=None, description="push only what is dated from then on"
    )
    rules_file: Path | None = Field(default=None, description="[rules](watch.md#rules), TOML")
    webhook_url: Annotated[SecretStr, AfterValidator(_webhook_url)] | None = Field(
        default=None, description="receives what fires them"
    )
    webhook_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] | None = Field(
        default=None, description="signs it: `whsec_` and base64"
    )
    page_url: Annotated[str, AfterValidator(_page_url)] | None = Field(
        default=None, description="Activity Log's address, for its links"
    )

    @property
    def client_pair(self) -> KeyPair | None:
        """The certificate and key to show; None if none is set. Raises TlsFilesError."""
        return key_pair(self.client_certificate_file, self.client_key_file, "AUDIT_PUSH_CLIENT_")

    @model_validator(mode="after")
    def _rules_are_complete(self) -> Self:
        names = "rules_file", "webhook_url", "webhook_secret", "page_url"
        missing = [name for name in names if getattr(self, name) is None]
        if missing and len(missing) < len(names):
            every, lacking = (
                ", ".join(f"AUDIT_PUSH_{name.upper()}" for name in some)
                for some in (names, missing)
            )
            raise ValueError(f"{every} go together: set {lacking}")
        return self

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        _ = self.client_pair
        return self
