"""Rows as the seal sees them: their places, and their leaf data made anew.

What is read is not trusted. A value that no row of ours can have, such as an infinite time, is
read as another such value: the leaf is then not the sealed one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from audit_log.postgres.database import Database
from audit_log.postgres.search import find_row
from audit_log.postgres.transaction import Row, Transaction
from audit_log.record import Gap, Invocation, RecordRow
from audit_log.seal.leaf import entry_leaves, gap_leaf, tool_call_leaf

_TIME: Final = (
    "greatest('0001-01-02Z'::timestamptz, least('9999-12-30Z'::timestamptz, {0})) AS {0}"
)
# NaN is greater than all others.
_DURATION: Final = (
    "CASE WHEN duration_ms > '-Infinity' AND duration_ms < 'Infinity' THEN duration_ms"
    " WHEN duration_ms IS NOT NULL THEN -1 END AS duration_ms"
)
# A network mask is a part of the value: host() would hide it.
_ADDRESS: Final = "abbrev(client_ip) AS client_ip"
SEALED_ENTRY_COLUMNS: Final = f"""log, seq, id::text, {_TIME.format("created_at")}, method, path,
    status_code, outcome, instance, token_id::text, token_name, {_DURATION}, {_ADDRESS},
    user_agent, tool, invocation_id::text, attribution, request_id"""
SEALED_CALL_COLUMNS: Final = f"""log, seq, id, {_TIME.format("created_at")}, tool, outcome,
    status_code, origin, instance, token_id, token_name, {_DURATION}, api_calls, error_code,
    rounds, {_ADDRESS}, request_id, session, protocol_version, client_name, client_version,
    user_agent, principal, claims::text AS claims"""
SEALED_GAP_COLUMNS: Final = f"""log, seq, id, {_TIME.format("started_at")},
    {_TIME.format("ended_at")}, count, reason, instance"""
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


def leaves_of_entries(rows: Sequence[Row]) -> list[bytes]:
    """Return the leaf data of rows with the columns `SEALED_ENTRY_COLUMNS`."""
    names = RecordRow.__struct_fields__
    return entry_leaves(
        [RecordRow(**{name: row[name] for name in names if name in row}) for row in rows]
    )


def leaves_of_calls(rows: Sequence[Row]) -> list[bytes]:
    """Return the leaf data of rows with the columns `SEALED_CALL_COLUMNS`."""
    names = set(Invocation.__struct_fields__) - {"claims", "arrived_at"}
    return [
        tool_call_leaf(
            Invocation(**{name: row[name] for name in names if name in row}),
            row["claims"] or "null",
        )
        for row in rows
    ]


def leaves_of_gaps(rows: Sequence[Row]) -> list[bytes]:
    """Return the leaf data of rows with the columns `SEALED_GAP_COLUMNS`."""
    names = Gap.__struct_fields__
    return [gap_leaf(Gap(**{name: row[name] for name in names})) for row in rows]


async def find_entry(database: Database, entry_id: UUID) -> FoundRow | None:
    """Return the entry with this id, or None."""
    row = await find_row(database, f"{SEALED_ENTRY_COLUMNS}, arrived_at", entry_id)
    return None if row is None else _found(row, leaves_of_entries([row]))


async def find_call(database: Database, invocation_id: UUID) -> FoundRow | None:
    """Return the tool call with this id, or None."""
    sql = _CALL_BY_ID.format(columns=SEALED_CALL_COLUMNS)
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
        ("mcp_audit_log", SEALED_ENTRY_COLUMNS, leaves_of_entries),
        ("mcp_tool_invocation", SEALED_CALL_COLUMNS, leaves_of_calls),
    ):
        sql = _ARRIVED.format(table=table, columns=columns)
        rows = await transaction.fetch(sql, log, start, end, since, until)
        _add(found, twice, rows, leaves(rows))
    sql = _PLACED.format(table="mcp_audit_gap", columns=SEALED_GAP_COLUMNS)
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
