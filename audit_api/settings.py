"""Settings of the audit API, from the environment."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from audit_api.witness.trusted_logs import TrustedLogs
from audit_log.addresses import Network, read_networks
from audit_log.process.database_url import DatabaseUrl
from audit_log.process.shared_settings import (
    LOOPBACK,
    Host,
    ListenerSettings,
    ListenPort,
    TokenPrefix,
    TokenSettings,
)
from audit_log.tokens import ROLES, TOKEN_PREFIX


class AuditApiSettings(TokenSettings, ListenerSettings):
    """Where the audit API listens, and which callers may read."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_API_")

    # Not empty: that would listen on all addresses.
    host: Annotated[Host, Field(min_length=1)] = LOOPBACK
    port: ListenPort = 8110
    database_url: DatabaseUrl | None = Field(
        default=None,
        description="a read replica to query; the audit log's database when not set",
    )
    max_lag_seconds: float = Field(
        default=30, gt=0, description="how far it may be behind before `/readyz` says degraded"
    )
    reader_roles: Annotated[frozenset[str], NoDecode] = Field(
        default=frozenset({"admin"}),
        description="roles whose `pwm_` tokens may read, separated by commas",
    )
    auth_url: AnyHttpUrl | None = Field(
        default=None,
        description=(
            "PodWarden's, not this service's, GET address that succeeds for readers only; "
            "it judges other credentials"
        ),
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(),
        description="networks whose `X-Forwarded-For` and `Forwarded` are believed",
    )
    token_prefix: TokenPrefix = TOKEN_PREFIX
    session_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="signs the page's sessions; without it each process makes its own",
    )
    seal_dir: Path | None = Field(
        default=None,
        description="folder of the key that seals reads",
    )
    witness_dir: Path | None = Field(
        default=None,
        description="folder of the witness's key and memory; makes this service cosign"
        " sidecars' seals",
    )
    witness_logs: Annotated[TrustedLogs | None, NoDecode] = Field(
        default=None,
        description="keys of the logs to cosign, as `podwarden-audit seal key` shows them,"
        " separated by spaces",
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return read_networks(value)

    @field_validator("witness_logs", mode="before")
    @classmethod
    def _trusted_logs(cls, value: object) -> object:
        return TrustedLogs.parse(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _witness_has_logs(self) -> Self:
        if (self.witness_dir is None) != (self.witness_logs is None):
            raise ValueError("AUDIT_API_WITNESS_DIR and AUDIT_API_WITNESS_LOGS go together")
        return self

    @field_validator("reader_roles", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        roles = frozenset(role.strip() for role in value.strip().removesuffix(",").split(","))
        if not any(roles):
            raise ValueError("names no role")
        if "" in roles:
            raise ValueError("has a comma too many")
        if not roles.issubset(ROLES):
            raise ValueError(f"names a role that does not exist: there are {', '.join(ROLES)}")
        return roles

    @field_validator("auth_url")
    @classmethod
    def _carries_no_credentials(cls, value: AnyHttpUrl | None) -> AnyHttpUrl | None:
        if value is not None and (value.username or value.password):
            # They would replace the caller's own credentials, and let every caller in.
            raise ValueError("must not carry a user name or password")
        return value
