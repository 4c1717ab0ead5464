"""The settings that several services share: the audit log, NATS, the ingest."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from audit_log.process.database_url import DatabaseUrl
from audit_log.process.environment import Settings
from audit_log.process.shared_settings import OpsPort, OpsSettings, TokenSettings
from audit_log.retention import Retention

LogFormat = Annotated[str, Field(pattern="^(console|json)$", description="`console` or `json`")]
LogLevel = Annotated[
    str,
    Field(
        pattern="^(debug|info|warning|error)$",
        description="`debug`, `info`, `warning` or `error`",
    ),
]


class LogSettings(Settings):
    """How to log, for a service that does not need the rest."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_LOG_")

    log_format: LogFormat = "console"
    log_level: LogLevel = "info"


class AuditLogSettings(Settings):
    """What all services need: where the audit log is, how long it is kept, and how to log."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_LOG_")

    database_url: DatabaseUrl = Field(description="PostgreSQL URL of the audit log")
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
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
        """How long, and up to what size, records are kept."""
        return Retention(self.retention_days, self.max_bytes)


def _nats_urls(value: SecretStr) -> SecretStr:
    urls = [url.strip() for url in value.get_secret_value().split(",")]
    if not all(url.startswith(("nats://", "tls://")) for url in urls):
        raise ValueError("each URL must begin with nats:// or tls://")
    return value


class NatsSettings(Settings):
    """The NATS stream between the sidecars, which publish, and the ingest."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_LOG_NATS_")

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


class IngestSettings(TokenSettings, OpsSettings):
    """Where the ingest offers health and metrics, and how it finds names of tokens."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_LOG_INGEST_")

    ops_port: OpsPort = 8108
