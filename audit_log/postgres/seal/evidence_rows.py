"""Rows with their leaf data, however many, in constant memory: what evidence is made of."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final, NamedTuple

from audit_log.filters import RecordFilter, ToolCallFilter
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.seal.row_leaves import (
    CALL_COLUMNS,
    ENTRY_COLUMNS,
    GAP_COLUMNS,
    leaves_of_calls,
    leaves_of_entries,
    leaves_of_gaps,
)
from audit_log.postgres.transaction import ONE_SNAPSHOT, Row, Transaction

BATCH_ROWS: Final = 1_000
_DECLARE: Final = """
DECLARE evidence NO SCROLL CURSOR FOR
SELECT {columns} FROM {table} WHERE {conditions}
ORDER BY {table}.{time}, {table}.id
"""
_FETCH: Final = f"FETCH FORWARD {BATCH_ROWS} FROM evidence"
_CLOSE: Final = "CLOSE evidence"
_NOTES: Final = """
SELECT log, seq, data FROM mcp_audit_seal_note
WHERE count = 1 AND (log, seq) IN (SELECT * FROM unnest($1::integer[], $2::bigint[]))
    AND NOT starts_with(data, '["quarantined"')
ORDER BY arrived_at DESC
"""
_OF_API_CALLS: Final = {"outcome", "status", "least_ms", "most_ms", "client_ip"}
"""Conditions that tool calls have too, but that are asked of API calls here."""
_LOGS: Final = "SELECT DISTINCT log FROM mcp_audit_seal_log ORDER BY log"


class EvidentRow(NamedTuple):
    """A row, and what it says for the seal."""

    log: int | None
    place: int | None
    data: bytes
    """Its leaf data, made anew."""
    noted: bytes | None
    """Its leaf data as the sidecar noted it, if it did."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A table with rows that are sealed."""

    name: str
    table: str
    columns: str
    time: str
    leaves: Callable[[Sequence[Row]], list[bytes]]
    conditions: Callable[[RecordFilter, Arguments], list[str]]


def _of_calls(wanted: RecordFilter, arguments: Arguments) -> list[str]:
    """Return the conditions that tool calls have too; the others concern API calls alone."""
    given = {field.name: getattr(wanted, field.name) for field in fields(wanted)}
    shared = {field.name for field in fields(ToolCallFilter)} - _OF_API_CALLS
    asked = {name: value for name, value in given.items() if name in shared}
    return conditions_of(ToolCallFilter(**asked), arguments)


def _of_gaps(wanted: RecordFilter, arguments: Arguments) -> list[str]:
    """Return the conditions of gaps that overlap the span of time."""
    conditions = []
    if wanted.since is not None:
        conditions.append(f"ended_at >= {arguments.add(wanted.since)}::timestamptz")
    if wanted.until is not None:
        conditions.append(f"started_at < {arguments.add(wanted.until)}::timestamptz")
    return conditions


KINDS: Final = (
    Kind(
        name="entries",
        table="mcp_audit_log",
        columns=ENTRY_COLUMNS,
        time="created_at",
        leaves=leaves_of_entries,
        conditions=conditions_of,
    ),
    Kind(
        name="tool_calls",
        table="mcp_tool_invocation",
        columns=CALL_COLUMNS,
        time="created_at",
        leaves=leaves_of_calls,
        conditions=_of_calls,
    ),
    Kind(
        name="gaps",
        table="mcp_audit_gap",
        columns=GAP_COLUMNS,
        time="started_at",
        leaves=leaves_of_gaps,
        conditions=_of_gaps,
    ),
)


async def begin(transaction: Transaction) -> list[int]:
    """Take one snapshot for all that is read in *transaction*; return the logs in it."""
    await transaction.execute(ONE_SNAPSHOT)
    return [row["log"] for row in await transaction.fetch(_LOGS)]


async def evident_rows(
    transaction: Transaction, kind: Kind, wanted: RecordFilter
) -> AsyncIterator[list[EvidentRow]]:
    """Yield the rows of *kind* that match *wanted*, oldest first, in batches."""
    arguments = Arguments()
    conditions = " AND ".join(kind.conditions(wanted, arguments)) or "true"
    sql = _DECLARE.format(
        columns=kind.columns, table=kind.table, time=kind.time, conditions=conditions
    )
    await transaction.execute(sql, *arguments)
    while rows := await transaction.fetch(_FETCH):
        noted = await _noted(transaction, rows)
        yield [
            EvidentRow(row["log"], row["seq"], data, noted.get((row["log"], row["seq"])))
            for row, data in zip(rows, kind.leaves(rows), strict=True)
        ]
    await transaction.execute(_CLOSE)


async def _noted(transaction: Transaction, rows: Sequence[Row]) -> dict[tuple[int, int], bytes]:
    placed = [(row["log"], row["seq"]) for row in rows if row["seq"] is not None]
    logs, places = [log for log, _ in placed], [place for _, place in placed]
    notes = await transaction.fetch(_NOTES, logs, places)
    # Of several the first one counts.
    return {(note["log"], note["seq"]): note["data"].encode() for note in notes}
