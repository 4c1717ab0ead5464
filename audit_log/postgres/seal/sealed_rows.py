"""Rows as the seal sees them, found by id or place: where they stand, and their leaf data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from audit_log.postgres.database import Database
from audit_log.postgres.seal.row_leaves import (
    CALL_COLUMNS,
    ENTRY_COLUMNS,
    GAP_COLUMNS,
    leaves_of_calls,
    leaves_of_entries,
    leaves_of_gaps,
)
from audit_log.postgres.search import find_row
from audit_log.postgres.transaction import Row, Transaction

_CALL_BY_ID: Final = """
SELECT {columns}, arrived_at FROM mcp_tool_invocation WHERE id = $1
"""
_PLACED: Final = """
SELECT {columns} FROM {table}
WHERE log = $1 AND seq >= $2 AND seq < $3
"""
# Rows are found by when they arrived, for which there is an index: by place there is none.
_ARRIVED: Final = """
SELECT {columns}
FROM unnest($4::timestamptz[], $5::timestamptz[]) AS span (since, until)
CROSS JOIN LATERAL (
    SELECT * FROM {table}
    WHERE arrived_at >= since AND arrived_at <= until AND log = $1 AND seq >= $2 AND seq < $3
) AS placed
"""


class Span(NamedTuple):
    """From when until when rows arrived, both included."""

    since: datetime
    until: datetime


class FoundRow(NamedTuple):
    """One row, found by its id."""

    log: int | None
    place: int | None
    data: bytes
    """Its leaf data, made anew."""
    instance: str
    known_since: datetime
    """When it arrived; of an older row, when it was made."""


async def find_entry(database: Database, entry_id: UUID) -> FoundRow | None:
    """Return the entry with this id, or None."""
    row = await find_row(database, f"{ENTRY_COLUMNS}, arrived_at", entry_id)
    return None if row is None else _found(row, leaves_of_entries([row]))


async def find_call(database: Database, invocation_id: UUID) -> FoundRow | None:
    """Return the tool call with this id, or None."""
    sql = _CALL_BY_ID.format(columns=CALL_COLUMNS)
    row = await database.fetch_row(sql, invocation_id)
    return None if row is None else _found(row, leaves_of_calls([row]))


async def leaves_between(
    transaction: Transaction, log: int, start: int, end: int, spans: Sequence[Span]
) -> dict[int, bytes]:
    """Return the leaf data of rows from place *start* to before *end* that arrived in *spans*.

    A place that several rows have is left out: only one can be the sealed one.
    """
    since, until = [span.since for span in spans], [span.until for span in spans]
    found: dict[int, bytes] = {}
    twice: set[int] = set()
    for table, columns, leaves in (
        ("mcp_audit_log", ENTRY_COLUMNS, leaves_of_entries),
        ("mcp_tool_invocation", CALL_COLUMNS, leaves_of_calls),
    ):
        sql = _ARRIVED.format(table=table, columns=columns)
        rows = await transaction.fetch(sql, log, start, end, since, until)
        _add(found, twice, rows, leaves(rows))
    sql = _PLACED.format(table="mcp_audit_gap", columns=GAP_COLUMNS)
    rows = await transaction.fetch(sql, log, start, end)
    _add(found, twice, rows, leaves_of_gaps(rows))
    return {place: data for place, data in found.items() if place not in twice}


def _add(
    found: dict[int, bytes], twice: set[int], rows: Sequence[Row], leaves: Sequence[bytes]
) -> None:
    for row, data in zip(rows, leaves, strict=True):
        if found.setdefault(row["seq"], data) != data:
            twice.add(row["seq"])


def _found(row: Row, leaves: Sequence[bytes]) -> FoundRow:
    known_since = row["arrived_at"] or row["created_at"]
    return FoundRow(row["log"], row["seq"], leaves[0], row["instance"], known_since)
