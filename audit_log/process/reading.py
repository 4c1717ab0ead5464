"""Reads settings at start. All that is wrong is told at once; no value is: it may be a secret."""

import sys
from typing import NoReturn, TypeVar

import structlog
from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from audit_log.process.database_url import IS_DATABASE_URL
from audit_log.process.environment import (
    Settings,
    outdated_in_environment,
    unknown_in_environment,
    variable_of,
)
from audit_log.process.url_parameters import without_effect

SettingsType = TypeVar("SettingsType", bound=BaseSettings)
log = structlog.get_logger(__name__)


class SettingsReading:
    """Reads the settings of one process, one kind after the other."""

    def __init__(self) -> None:
        self._read: list[BaseSettings] = []
        self._complaints: list[str] = []

    def read(self, kind: type[SettingsType]) -> SettingsType | None:
        """Return the settings of *kind*, or None if any of them is missing or wrong."""
        try:
            settings = kind()
        except ValidationError as error:
            self._complaints += _complaints_of(kind, error)
            return None
        self._read.append(settings)
        return settings

    def complaints(self) -> list[str]:
        """Return a line for each setting that is missing, wrong, or a setting of no service."""
        return [*self._complaints, *unknown_in_environment()]

    def log_advice(self) -> None:
        """Log what was read and has an old name, or no effect."""
        for settings in self._read:
            if isinstance(settings, Settings):
                for outdated in outdated_in_environment(type(settings)):
                    log.warning("settings.outdated", name=outdated.name, advice=outdated.advice)
            for field, value in settings:
                if ignored := _ignored_parameters(value):
                    log.warning(
                        "settings.parameters_ignored",
                        name=variable_of(type(settings), field),
                        parameters=ignored,
                    )


def read_settings(kind: type[SettingsType]) -> SettingsType:
    """Return the settings of *kind*; exit with readable lines if any is missing or wrong."""
    reading = SettingsReading()
    settings = reading.read(kind)
    if settings is None:
        stop(reading.complaints())
    return settings


def stop(complaints: list[str]) -> NoReturn:
    """End the process after *complaints* about its settings."""
    sys.stderr.writelines(f"{line}\n" for line in complaints)
    # EX_CONFIG of sysexits.h: by it supervisors distinguish a wrong setting from a crash.
    raise SystemExit(78)


def _complaints_of(kind: type[BaseSettings], error: ValidationError) -> list[str]:
    return [
        _complaint(variable_of(kind, "_".join(map(str, problem["loc"]))), problem)
        for problem in error.errors(include_input=False, include_url=False)
    ]


def _complaint(name: str, problem: ErrorDetails) -> str:
    if problem["type"] == "missing":
        return f"{name} is not set"
    complaint = problem["msg"].removeprefix("Value error, ")
    # A complaint about several settings together names them itself.
    return f"{name}: {complaint}" if problem["loc"] else complaint


def _ignored_parameters(value: object) -> list[str]:
    text = value.get_secret_value() if isinstance(value, SecretStr) else ""
    return without_effect(text) if IS_DATABASE_URL.match(text) else []
