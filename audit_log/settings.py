"""Settings from the environment, read once at start. Wrong ones stop the start with one line."""

import sys
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from audit_log.retention import Retention

SettingsType = TypeVar("SettingsType", bound=BaseSettings)


class AuditLogSettings(BaseSettings):
    """What both services need: where the audit log is, and how to speak to the operator."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_LOG_", frozen=True)

    database_url: SecretStr = Field(description="PostgreSQL URL of the audit log")
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

    @field_validator("database_url")
    @classmethod
    def _is_a_postgresql_url(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        try:
            _ = urlsplit(url).port
        except ValueError:
            # Not chained: it quotes the URL, and the password in it.
            raise ValueError("has no port or host that makes sense") from None
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("is not a postgresql:// URL")
        return value


def read_settings(kind: type[SettingsType]) -> SettingsType:
    """Return the settings of *kind* from the environment; exit with readable lines if wrong.

    Values are never printed: any of them may be a secret.
    """
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        for problem in error.errors(include_input=False, include_url=False):
            name = prefix + "_".join(str(part) for part in problem["loc"])
            complaint = problem["msg"].removeprefix("Value error, ")
            _say(
                f"{name.upper()}: {complaint}"
                if problem["type"] != "missing"
                else f"{name.upper()} is not set"
            )
        _stop()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _stop() -> NoReturn:
    # EX_CONFIG of sysexits.h: supervisors tell a wrong setting from a crash by it.
    raise SystemExit(78)
