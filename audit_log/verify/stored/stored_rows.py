"""Reads sealed rows, and makes their leaves anew. What is read is not trusted."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from audit_log.postgres.seal.row_leaves import (
    CALL_COLUMNS,
    ENTRY_COLUMNS,
    GAP_COLUMNS,
    READ_COLUMNS,
    leaves_of_calls,
    leaves_of_entries,
    leaves_of_gaps,
    leaves_of_reads,
)
from audit_log.postgres.transaction import Row, Transaction

BATCH: Final = 4_000
_LAST_SECOND: Final = 0xFFFFFFFF
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Table(StrEnum):
    """The tables with sealed rows."""

    ENTRIES = "mcp_audit_log"
    TOOL_CALLS = "mcp_tool_invocation"
    GAPS = "mcp_audit_gap"
    READS = "mcp_audit_read"


_COLUMNS: Final = {
    Table.ENTRIES: ENTRY_COLUMNS,
    Table.TOOL_CALLS: CALL_COLUMNS,
    Table.GAPS: GAP_COLUMNS,
    Table.READS: READ_COLUMNS,
}
_LEAVES: Final[dict[Table, Callable[[Sequence[Row]], list[bytes]]]] = {
    Table.ENTRIES: leaves_of_entries,
    Table.TOOL_CALLS: leaves_of_calls,
    Table.GAPS: leaves_of_gaps,
    Table.READS: leaves_of_reads,
}
_ARRIVED: Final = frozenset({Table.ENTRIES, Table.TOOL_CALLS})


class Sealed(NamedTuple):
    """A row with a place."""

    log: int
    place: int | None
    """None where only the log is given."""
    data: bytes
    """Its leaf data, made anew."""
    seconds: int
    """When it was created, in Unix seconds; of a gap, when it ended."""
    id: str


_BY_ID: Final = "(row.created_at, row.id) IN (SELECT * FROM unnest($1::timestamptz[], $2::uuid[]))"


async def sealed_rows(
    transaction: Transaction, table: Table, since: datetime | None
) -> AsyncIterator[list[Sealed]]:
    """Yield the rows of *table* that name a log, in batches and in no order.

    With *since* only those that arrived since then, where the table knows.
    """
    condition, arguments = "log IS NOT NULL", list[object]()
    if since is not None and table in _ARRIVED:
        condition, arguments = f"{condition} AND arrived_at >= $1", [since]
    await transaction.execute(
        f"DECLARE sealed NO SCROLL CURSOR FOR SELECT {_COLUMNS[table]} FROM {table}"  # noqa: S608
        f" WHERE {condition}",
        *arguments,
    )
    while rows := await transaction.fetch(f"FETCH FORWARD {BATCH} FROM sealed"):
        yield _sealed(table, rows)
    await transaction.execute("CLOSE sealed")


async def rows_at(
    transaction: Transaction, table: Table, log: int, places: Sequence[int]
) -> list[Sealed]:
    """Return the rows of *table* at *places* of *log*. There is no index: it reads the table."""
    rows = await transaction.fetch(
        f"SELECT {_COLUMNS[table]} FROM {table} WHERE log = $1 AND seq = ANY($2::bigint[])",  # noqa: S608
        log,
        places,
    )
    return _sealed(table, rows)


async def rows_by_id(
    transaction: Transaction, table: Table, ids: Sequence[UUID], moments: Sequence[datetime]
) -> list[Sealed]:
    """Return the rows of *table* with these *ids*, created at *moments*, by an index."""
    arguments: list[object] = [ids]
    condition = "row.id = ANY($1::uuid[])"
    if table is Table.ENTRIES:
        condition, arguments = _BY_ID, [moments, ids]
    sql = f"SELECT {_COLUMNS[table]} FROM {table} AS row WHERE {condition}"  # noqa: S608
    return _sealed(table, await transaction.fetch(sql, *arguments))


def _sealed(table: Table, rows: Sequence[Row]) -> list[Sealed]:
    ends = "ended_at" if table is Table.GAPS else "created_at"
    return [
        Sealed(row[0], row[1], data, _second_of(row[ends]), row[2])
        for row, data in zip(rows, _LEAVES[table](rows), strict=True)
    ]


def _second_of(moment: datetime) -> int:
    return min(max(0, int((moment - _EPOCH).total_seconds())), _LAST_SECOND)
