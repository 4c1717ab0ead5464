"""Whether an existing `mcp_audit_log`, not made by our migrations, can be adopted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TEXT: Final = ("text", "character varying")
_INTEGER: Final = ("smallint", "integer", "bigint")

# What migration 0001 expects to find, or adds. The first type is the one to convert to.
_TYPES: Final = {
    "id": ("uuid",),
    "token_id": ("uuid",),
    "token_name": _TEXT,
    "method": _TEXT,
    "path": _TEXT,
    "status_code": _INTEGER,
    "created_at": ("timestamp with time zone",),
    "outcome": _TEXT,
    "duration_ms": ("real", "double precision"),
    "client_ip": ("inet",),
    "user_agent": _TEXT,
    "tool": _TEXT,
    "invocation_id": ("uuid",),
    "attribution": _TEXT,
    "request_id": _TEXT,
    "instance": _TEXT,
}
_DOCUMENTED: Final = ("id", "token_name", "method", "path", "status_code", "created_at")
_ALWAYS_FILLED: Final = (*_DOCUMENTED, "outcome", "instance")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as `information_schema.columns` describes it."""

    name: str
    type: str
    must_be_given: bool
    """NOT NULL without a default."""
    max_characters: int | None = None
    is_rounded: bool = False
    """A time that keeps no microseconds."""
    references: str | None = None
    """The name of a foreign key on it."""


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A unique index or an exclusion constraint."""

    name: str
    columns: Sequence[str | None]
    """None for an expression."""
    is_constraint: bool


def obstacles(columns: Sequence[Column], keys: Sequence[UniqueKey] = ()) -> list[str]:
    """Return what prevents adopting a table with *columns* and *keys*, each with its remedy."""
    found = {column.name: column for column in columns}
    return [
        *(f"column {name} is missing" for name in _DOCUMENTED if name not in found),
        *(_wrong_type(found[name]) for name in _TYPES if name in found and _differs(found[name])),
        *(_unfillable(column) for column in columns if _cannot_be_filled(column)),
        *(_referring(column) for column in columns if _refers(column)),
        *(_excluding(key) for key in keys if _excludes(key)),
    ]


def to_widen(columns: Sequence[Column]) -> dict[str, str]:
    """Return the columns with a limit that must be lifted, and their types without it.

    A client that chooses a text longer than the limit could keep its call out of the log. A time
    that is rounded is not that of the leaf that the seal has of it.
    """
    return {
        column.name: _TYPES[column.name][0]
        for column in columns
        if column.name in _TYPES and (column.max_characters is not None or column.is_rounded)
    }


def _differs(column: Column) -> bool:
    return column.type not in _TYPES[column.name]


def _wrong_type(column: Column) -> str:
    wanted = _TYPES[column.name][0]
    using = f"{column.name}::{wanted}"
    if column.type == "timestamp without time zone":
        using = f"{column.name} AT TIME ZONE 'UTC'"
    return (
        f"column {column.name} is {column.type} but must be {wanted}; to convert it: "
        f"ALTER TABLE mcp_audit_log ALTER COLUMN {column.name} TYPE {wanted} USING {using};"
    )


def _cannot_be_filled(column: Column) -> bool:
    return column.must_be_given and column.name not in _ALWAYS_FILLED


def _unfillable(column: Column) -> str:
    return (
        f"column {column.name} is NOT NULL, and the sidecar cannot always fill it; to allow that: "
        f"ALTER TABLE mcp_audit_log ALTER COLUMN {column.name} DROP NOT NULL;"
    )


def _refers(column: Column) -> bool:
    # A token may be deleted between a call and the write of its record, which must not fail.
    return column.name in _TYPES and column.references is not None


def _referring(column: Column) -> str:
    return (
        f"column {column.name} must not depend on another table; to free it: "
        f"ALTER TABLE mcp_audit_log DROP CONSTRAINT {column.references};"
    )


def _excludes(key: UniqueKey) -> bool:
    # What is there already is left out by its id. Another key would leave out another record, and
    # no one would know. A column that we do not fill has a value of its own in each row.
    return "id" not in key.columns and all(name is None or name in _TYPES for name in key.columns)


def _excluding(key: UniqueKey) -> str:
    remedy = f"DROP INDEX {key.name};"
    if key.is_constraint:
        remedy = f"ALTER TABLE mcp_audit_log DROP CONSTRAINT {key.name};"
    return f"unique key {key.name} would keep records out; to drop it: {remedy}"
