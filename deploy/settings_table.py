"""Makes docs/settings.md from the settings classes: `python -m deploy.settings_table`."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from audit_api.push.push_settings import PushSettings
from audit_api.settings import AuditApiSettings
from audit_log.process.environment import Formerly, Settings
from audit_log.process.settings import AuditLogSettings, IngestSettings, NatsSettings
from audit_log.tokens import DEFAULT_TOKEN_QUERY
from proxy.settings import ProxySettings

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "settings.md"
KINDS: Final[dict[str, type[Settings]]] = {
    "The audit log: all services": AuditLogSettings,
    "The sidecar": ProxySettings,
    "The audit API": AuditApiSettings,
    "NATS: sidecars with PROXY_SINK=nats, and the ingest": NatsSettings,
    "The ingest": IngestSettings,
    "The push": PushSettings,
}
_OPENING: Final = """\
# Settings

After reading this page you can configure each service.

Settings are environment variables, read once at start.
A wrong value stops it (exit code 78) and is named.
[`deploy/.env.example`](../deploy/.env.example) has all of them; `make settings` writes this page.
"""
_OLD_NAMES: Final = """\
## Old names

0.2 reads the old name where the new one is not set, with a warning at start; 0.3 does not.
"""


def main() -> None:
    """Write the document anew."""
    DOCUMENT.write_text(document(), encoding="utf-8")


def document() -> str:
    """Return the document in full: a table for each class, then renamed and removed variables."""
    tables = [f"## {title}\n\n{_table(kind)}\n" for title, kind in KINDS.items()]
    return "\n".join([_OPENING, *tables, f"{_OLD_NAMES}\n{_old_names()}\n"])


def variables(kind: type[Settings]) -> dict[str, FieldInfo]:
    """Return the fields of *kind* by their environment variables."""
    prefix = kind.model_config.get("env_prefix", "")
    return {f"{prefix}{name}".upper(): field for name, field in kind.model_fields.items()}


def old_names(kind: type[Settings]) -> dict[str, str]:
    """Return the variables that *kind* had before, each with its new name or what became of it."""
    renamed = {
        mark.name: f"now `{name}`"
        for name, field in variables(kind).items()
        for mark in field.metadata
        if isinstance(mark, Formerly)
    }
    return {**renamed, **kind.removed}


def _table(kind: type[Settings]) -> str:
    rows = [
        f"|`{name}`|{_default(field)}|{field.description}|"
        for name, field in variables(kind).items()
    ]
    return "\n".join(["|variable|default|purpose|", "|---|---|---|", *rows])


def _old_names() -> str:
    return "\n".join(
        f"- `{old}`: {fate}" for kind in KINDS.values() for old, fate in old_names(kind).items()
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default == DEFAULT_TOKEN_QUERY:
        return "our `mcp_tokens`"
    words = ",".join(_words(field.default))
    return f"`{words}`" if words else "none"


def _words(value: object) -> Iterator[str]:
    """Yield *value* as it is written in the environment, in parts if it is a list."""
    if isinstance(value, (tuple, frozenset)):
        yield from map(str, sorted(value) if isinstance(value, frozenset) else value)
    elif isinstance(value, bool):
        yield str(value).lower()
    elif isinstance(value, Enum):
        yield str(value.value)
    elif value is not None:
        yield str(value)


if __name__ == "__main__":
    main()
