"""The environment that settings are read from, and names in it that are out of date."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar, Final

from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from audit_log.process.variables import PREFIXES, VARIABLES

# Kubernetes sets these for a service called `proxy`, `audit-log` or `audit-api` in every pod.
_SERVICE_LINK: Final = re.compile(
    r".+_SERVICE_(?:HOST|PORT(?:_.+)?)|.+_PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?"
)
_SERVICE_ADDRESS: Final = re.compile("(?:tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Formerly:
    """Marks a renamed setting, in its `Annotated` type: the variable that it had before.

    The old variable is read for one version, if the new one is not set.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Outdated:
    """A variable that is set and should not be."""

    name: str
    advice: str


class Settings(BaseSettings):
    """Settings from variables that begin with `env_prefix`; from old names where new are unset."""

    model_config = SettingsConfigDict(frozen=True)
    removed: ClassVar[Mapping[str, str]] = {}
    """Variables that had a meaning in the last version, and what to say of each."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  called by these names
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of values; the first that has a value wins."""
        # Not pydantic's AliasChoices: those ignore env_prefix, and errors would not name the
        # variable that was set.
        environment = _environment()
        assert isinstance(env_settings, EnvSettingsSource)
        env_settings.env_vars = {
            name: value for name, value in env_settings.env_vars.items() if _is_ours(name, value)
        }
        old = {
            field: environment[name]
            for field, name in _former_names(settings_cls)
            if name in environment
        }
        # Without the sources of files: no settings have any, and each visits all fields.
        return (init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=old))


def variable_of(kind: type[BaseSettings], field: str) -> str:
    """Return the variable that *field* is read from: the old one if only that is set."""
    environment = _environment()
    name = f"{kind.model_config.get('env_prefix', '')}{field}".upper()
    former = dict(_former_names(kind)).get(field)
    return former if former in environment and name not in environment else name


def outdated_in_environment(kind: type[Settings]) -> list[Outdated]:
    """Return the variables that are set and that *kind* no longer has, with what to do."""
    environment = _environment()
    found = [
        Outdated(name, _advice(kind, field, name))
        for field, name in _former_names(kind)
        if name in environment
    ]
    gone = [Outdated(name, text) for name, text in kind.removed.items() if name in environment]
    return found + gone


def unknown_in_environment() -> list[str]:
    """Return a complaint about each variable that begins as ours do and that no service reads."""
    return [
        _complaint(name)
        for name in _environment()
        if name.startswith(PREFIXES) and name not in VARIABLES
    ]


def _complaint(unknown: str) -> str:
    nearest = get_close_matches(unknown, VARIABLES, n=1)
    advice = f"did you mean {nearest[0]}?" if nearest else "remove it"
    return f"{unknown} is no setting: {advice}"


def _advice(kind: type[Settings], field: str, former: str) -> str:
    if variable_of(kind, field) == former:
        new = f"{kind.model_config.get('env_prefix', '')}{field}".upper()
        return f"renamed: set {new} in its place"
    return f"has no effect beside {variable_of(kind, field)}: remove it"


def _former_names(kind: type[BaseSettings]) -> Iterator[tuple[str, str]]:
    """Yield each renamed field and its former variable."""
    for field, info in kind.model_fields.items():
        for mark in info.metadata:
            if isinstance(mark, Formerly):
                yield field, mark.name


def _environment() -> dict[str, str]:
    # As pydantic-settings reads it: in either case.
    return {name.upper(): value for name, value in os.environ.items() if _is_ours(name, value)}


def _is_ours(name: str, value: str | None) -> bool:
    """Say whether a variable could be a setting: Kubernetes did not set it as a service link."""
    name = name.upper()
    is_address = name.endswith("_PORT") and _SERVICE_ADDRESS.match(value or "")
    return not is_address and not _SERVICE_LINK.fullmatch(name)
