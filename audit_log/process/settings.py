"""Settings from the environment, read once at start. Wrong ones stop the start with one line."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from audit_log.process.tls import KeyPair, client_context
from audit_log.retention import Retention
from audit_log.tokens import DEFAULT_TOKEN_QUERY

SettingsType = TypeVar("SettingsType", bound=BaseSettings)


def _checked(value: SecretStr) -> SecretStr:
    """Return *value*, the URL of a PostgreSQL database whose TLS files are there and good."""
    url = value.get_secret_value()
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # Not chained: it quotes the URL, and the password in it.
        raise ValueError("has no port or host that makes sense") from None
    if parts.scheme not in {"postgresql", "postgres"} or not url.startswith(f"{parts.scheme}://"):
        raise ValueError("is not a postgresql:// URL")
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if given.get("sslrootcert") == "system":
        raise ValueError("sslrootcert=system is not supported: name the file of the system's CAs")
    files = {name: Path(value) for name, value in given.items()}
    certificate, key = files.get("sslcert"), files.get("sslkey")
    if (certificate is None) != (key is None):
        raise ValueError("sslcert and sslkey belong together")
    password = given.get("sslpassword", "")
    pair = KeyPair(certificate, key, password) if certificate and key else None
    if pair or "sslrootcert" in files:
        _ = client_context(files.get("sslrootcert"), pair)
    return value


DatabaseUrl = Annotated[SecretStr, AfterValidator(_checked)]
"""What a `postgresql://` URL says of files (libpq's `sslrootcert`, …) is checked at once: the
database may be away at start, and nobody would be told before it is back."""


class AuditLogSettings(BaseSettings):
    """What both services need: where the audit log is, and how to speak to the operator."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_LOG_", frozen=True)

    database_url: DatabaseUrl = Field(description="PostgreSQL URL of the audit log")
    log_format: str = Field(
        default="console", pattern="^(console|json)$", description="`console` or `json`"
    )
    log_level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        description="`debug`, `info`, `warning` or `error`",
    )
    retention_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="how long records are kept; for ever when not set",
    )
    max_bytes: int | None = Field(
        default=None,
        ge=1 << 20,
        description="how large the audit log may grow before its oldest records go",
    )
    shorten_retention: bool = Field(
        default=False,
        description=(
            "lets a sidecar apply a retention that makes more than half of the log go; "
            "take it away afterwards"
        ),
    )

    @property
    def retention(self) -> Retention:
        """What is to be kept."""
        return Retention(self.retention_days, self.max_bytes)


def _nats_urls(value: SecretStr) -> SecretStr:
    urls = [url.strip() for url in value.get_secret_value().split(",")]
    if not all(url.startswith(("nats://", "tls://")) for url in urls):
        raise ValueError("each URL must begin with nats:// or tls://")
    return value


class NatsSettings(BaseSettings):
    """Where the stream is that sidecars publish to and the ingest takes from."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_LOG_NATS_", frozen=True)

    urls: Annotated[SecretStr, AfterValidator(_nats_urls)] = Field(
        description="NATS servers, `nats://host:port` or `tls://…`, comma separated;"
        " used with `PROXY_SINK=nats` only"
    )
    stream: str = Field(
        default="podwarden_audit",
        pattern="^[A-Za-z0-9_-]+$",
        description="name of the stream, and what its subjects begin with",
    )
    credentials_file: Path | None = Field(
        default=None, description="`.creds` file to sign in to NATS with"
    )
    ca_file: Path | None = Field(
        default=None, description="certificates to verify the NATS servers with"
    )
    replicas: int = Field(
        default=3,
        ge=1,
        le=5,
        description="how many servers keep each record, when the ingest makes the stream",
    )
    max_bytes: int = Field(
        default=10 * 1024**3,
        ge=1024**2,
        description="how much may wait in the stream, when the ingest makes it",
    )

    @property
    def servers(self) -> list[str]:
        """The URLs one by one."""
        return [url.strip() for url in self.urls.get_secret_value().split(",") if url.strip()]


class IngestSettings(BaseSettings):
    """Where the ingest tells how it is, and how it finds out names that the sidecars could not."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_LOG_INGEST_", frozen=True)

    ops_host: str = Field(
        default="127.0.0.1", description="address of the ingest's health and metrics"
    )
    ops_port: int = Field(
        default=8108, ge=0, le=65535, description="port of the ingest's health and metrics"
    )
    token_query: str = Field(
        default=DEFAULT_TOKEN_QUERY, description="as `PROXY_TOKEN_QUERY`, for the ingest"
    )
    token_database_url: DatabaseUrl | None = Field(
        default=None, description="as `PROXY_TOKEN_DATABASE_URL`, for the ingest"
    )


def read_settings(kind: type[SettingsType]) -> SettingsType:
    """Return the settings of *kind* from the environment; exit with readable lines if wrong.

    Values are never printed: any of them may be a secret.
    """
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        for problem in error.errors(include_input=False, include_url=False):
            name = (prefix + "_".join(str(part) for part in problem["loc"])).upper()
            complaint = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "missing":
                _say(f"{name} is not set")
            else:
                # What is wrong with several together names them itself.
                _say(f"{name}: {complaint}" if problem["loc"] else complaint)
        _stop()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _stop() -> NoReturn:
    # EX_CONFIG of sysexits.h: supervisors tell a wrong setting from a crash by it.
    raise SystemExit(78)
