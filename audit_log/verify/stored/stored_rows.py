"""Reads sealed rows, and makes their leaf data anew. What is read is not trusted."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from audit_log.postgres.sealed_rows import SEALED_ENTRY, SEALED_GAP, SEALED_TOOL_CALL
from audit_log.postgres.transaction import Row, Transaction
from audit_log.seal.row_leaf import entry_leaves_of, gap_leaves_of, tool_call_leaves_of

BATCH: Final = 4_000
_LAST_SECOND: Final = 0xFFFFFFFF


class Table(StrEnum):
    """The tables with sealed rows."""

    ENTRIES = "mcp_audit_log"
    TOOL_CALLS = "mcp_tool_invocation"
    GAPS = "mcp_audit_gap"


class _Reading(NamedTuple):
    columns: str
    """They end in place and log."""
    made: str
    """The column that says when the line was made."""
    leaves: Callable[[Sequence[Any]], list[bytes]]
    knows_arrival: bool = True


_READINGS: Final = {
    Table.ENTRIES: _Reading(SEALED_ENTRY, "created_at", entry_leaves_of),
    Table.TOOL_CALLS: _Reading(SEALED_TOOL_CALL, "created_at", tool_call_leaves_of),
    Table.GAPS: _Reading(SEALED_GAP, "ended_at", gap_leaves_of, knows_arrival=False),
}
_BY_ID: Final = "(row.created_at, row.id) IN (SELECT * FROM unnest($1::timestamptz[], $2::uuid[]))"


class Sealed(NamedTuple):
    """A row with a place."""

    log: int
    place: int | None
    """None where only the log is given."""
    data: bytes
    """Its leaf data, made anew."""
    seconds: int
    """When it was made, in Unix seconds; 0 for what cannot be one."""
    id: str


async def sealed_rows(
    transaction: Transaction, table: Table, since: datetime | None
) -> AsyncIterator[list[Sealed]]:
    """Yield the rows of *table* that name a log, in batches and in no order.

    With *since* only those that arrived since then, where the table knows.
    """
    condition, arguments = "log IS NOT NULL", list[object]()
    if since is not None and _READINGS[table].knows_arrival:
        condition, arguments = f"{condition} AND arrived_at >= $1", [since]
    select = _select(table, condition)
    await transaction.execute(f"DECLARE sealed NO SCROLL CURSOR FOR {select}", *arguments)
    while rows := await transaction.fetch(f"FETCH FORWARD {BATCH} FROM sealed"):
        yield _sealed(table, rows)
    await transaction.execute("CLOSE sealed")


async def rows_at(
    transaction: Transaction, table: Table, log: int, places: Sequence[int]
) -> list[Sealed]:
    """Return the rows of *table* at *places* of *log*. There is no index: it reads the table."""
    select = _select(table, "log = $1 AND seq = ANY($2::bigint[])")
    return _sealed(table, await transaction.fetch(select, log, places))


async def rows_by_id(
    transaction: Transaction, table: Table, ids: Sequence[UUID], moments: Sequence[datetime]
) -> list[Sealed]:
    """Return the rows of *table* with these *ids*, created at *moments*, by an index."""
    arguments: list[object] = [ids]
    condition = "row.id = ANY($1::uuid[])"
    if table is Table.ENTRIES:
        condition, arguments = _BY_ID, [moments, ids]
    return _sealed(table, await transaction.fetch(_select(table, condition), *arguments))


def _select(table: Table, condition: str) -> str:
    columns, made, *_ = _READINGS[table]
    second = f"CASE WHEN isfinite({made}) THEN floor(extract(epoch FROM {made}))::bigint END"
    return f"SELECT {columns}, {second} FROM {table} AS row WHERE {condition}"  # noqa: S608


def _sealed(table: Table, rows: Sequence[Row]) -> list[Sealed]:
    if not rows:
        return []
    last = len(rows[0]) - 1
    return [
        Sealed(row[last - 1], row[last - 2], data, _within(row[last]), row[0])
        for row, data in zip(rows, _READINGS[table].leaves(rows), strict=True)
    ]


def _within(second: int | None) -> int:
    return min(max(0, second or 0), _LAST_SECOND)
