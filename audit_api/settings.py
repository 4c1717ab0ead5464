"""Settings of the audit API, from the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from audit_log.process.settings import DatabaseUrl
from audit_log.process.tls import KeyPair, key_pair
from audit_log.tokens import DEFAULT_TOKEN_QUERY, TOKEN_PREFIX


class AuditApiSettings(BaseSettings):
    """Where the audit API listens, and who may read."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_API_", frozen=True)

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(
        default=8110, ge=0, le=65_535, description="port to listen on; 0 takes any free one"
    )
    database_url: DatabaseUrl | None = Field(
        default=None,
        description="a read replica to answer from; the audit log's database when not set",
    )
    max_lag_seconds: float = Field(
        default=30, gt=0, description="how far it may be behind before `/readyz` says degraded"
    )
    tls_certificate_file: Path | None = Field(
        default=None,
        description="PEM; questions are then answered over TLS; followed when the files change",
    )
    tls_key_file: Path | None = Field(default=None, description="its key")
    reader_roles: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset({"admin"}),
        description="roles whose `pwm_` tokens may read, separated by commas",
    )
    auth_url: AnyHttpUrl | None = Field(
        default=None,
        description=(
            "a GET address of PodWarden that only those may call who may read the audit log; "
            "it judges every other credential, and must not lead back to this service"
        ),
    )
    token_prefix: str = Field(
        default=TOKEN_PREFIX, min_length=1, description="how an MCP token is recognised"
    )
    token_query: str = Field(
        default=DEFAULT_TOKEN_QUERY, description="finds the token whose SHA-256 is `$1`"
    )
    token_database_url: DatabaseUrl | None = Field(
        default=None, description="PostgreSQL URL of the token table, when it lives elsewhere"
    )

    session_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description=(
            "signs the sessions of the Activity Log page; without it they end with the process, "
            "and replicas do not know each other's"
        ),
    )

    @field_validator("reader_roles", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        roles = frozenset(role.strip() for role in value.split(",") if role.strip())
        if not roles:
            raise ValueError("names no role")
        return roles

    @field_validator("auth_url")
    @classmethod
    def _carries_no_credentials(cls, value: AnyHttpUrl | None) -> AnyHttpUrl | None:
        if value is not None and (value.username or value.password):
            # They would take the place of the caller's own, and let everybody in.
            raise ValueError("must not carry a user name or password")
        return value

    @property
    def tls(self) -> KeyPair | None:
        """What to answer over TLS with."""
        return key_pair(self.tls_certificate_file, self.tls_key_file, "AUDIT_API_TLS_")

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> "AuditApiSettings":
        _ = self.tls
        return self
