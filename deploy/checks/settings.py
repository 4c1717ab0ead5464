"""The settings of a service, of which all that are wrong are told before the check stops."""

from typing import NoReturn, TypeVar

from pydantic_settings import BaseSettings

from audit_log.process.settings import read_settings

SettingsType = TypeVar("SettingsType", bound=BaseSettings)


def settings_or_none(kind: type[SettingsType]) -> SettingsType | None:
    """Return the settings of *kind*, or None after readable lines that say what is wrong."""
    try:
        return read_settings(kind)
    except SystemExit:
        return None


def stop_for_settings() -> NoReturn:
    """End the check as a service ends whose settings are wrong."""
    raise SystemExit(78)  # EX_CONFIG of sysexits.h
