"""Settings that several services have, each under its own prefix."""

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from audit_log.process.database_url import DatabaseUrl
from audit_log.process.environment import Settings
from audit_log.process.tls import KeyPair, key_pair
from audit_log.tokens import DEFAULT_TOKEN_QUERY

LOOPBACK: Final = "127.0.0.1"
ListenHost = Annotated[str, AfterValidator(lambda host: host.strip("[]"))]
"""IPv6 may stand in brackets, as in a URL."""
Host = Annotated[ListenHost, Field(description="address to listen on; `::` is all, IPv4 too")]
Port = Annotated[int, Field(ge=0, le=65_535)]
ListenPort = Annotated[Port, Field(description="port to listen on; 0 takes any free one")]
OpsPort = Annotated[Port, Field(description="port of health and metrics; 0 takes any free one")]
TokenPrefix = Annotated[str, Field(min_length=1, description="what MCP tokens begin with")]


class ListenerSettings(Settings):
    """Where a service listens, and with which certificate. A subclass sets the default port."""

    host: Host = LOOPBACK
    port: ListenPort
    tls_certificate_file: Path | None = Field(
        default=None,
        description="PEM; turns TLS on; changes of the file are followed",
    )
    tls_key_file: Path | None = Field(default=None, description="its key")

    @property
    def tls(self) -> KeyPair | None:
        """The certificate and key to listen with; None for plain TCP. Raises TlsFilesError."""
        prefix = self.model_config.get("env_prefix", "")
        return key_pair(self.tls_certificate_file, self.tls_key_file, f"{prefix}TLS_")

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        _ = self.tls
        return self


class OpsSettings(Settings):
    """Where a process offers health and metrics. A subclass sets the default port."""

    ops_host: ListenHost = Field(default=LOOPBACK, description="address of health and metrics")
    ops_port: OpsPort


class TokenSettings(Settings):
    """How tokens are found."""

    token_query: str = Field(
        default=DEFAULT_TOKEN_QUERY,
        description="SQL that finds a token by its hex SHA-256, given as `$1`",
    )
    token_database_url: DatabaseUrl | None = Field(
        default=None, description="where the tokens are; the audit log's database when not set"
    )
