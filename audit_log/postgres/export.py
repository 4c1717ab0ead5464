"""All records that match a filter, however many, in constant memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Generic

from audit_log.filters import TimeFilter
from audit_log.postgres.arrivals import Snapshot, snapshot_now
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.gaps import gaps_between
from audit_log.postgres.reading.sources import Source, Told
from audit_log.postgres.transaction import Transaction
from audit_log.record import Gap

BATCH_RECORDS: Final = 1_000
FETCH_SECONDS: Final = 300.0  # the next match of a rare value may be far away

# A cursor declared in SQL, not the driver's: that leaves named statements behind, and a connection
# pooler would give them to another client.
_DECLARE: Final = """
DECLARE exported NO SCROLL CURSOR FOR
SELECT {columns} FROM {table}
WHERE {conditions}
ORDER BY created_at, id
"""
_FETCH: Final = f"FETCH FORWARD {BATCH_RECORDS} FROM exported"
# Before the snapshot is taken: a table that takes the place of another after it would look empty.
_LOCK: Final = "LOCK TABLE mcp_audit_log IN ACCESS SHARE MODE"
_ISOLATION: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@dataclass(frozen=True, slots=True)
class Export(Generic[Told]):
    """Rows in batches, oldest first, all from one snapshot."""

    snapshot: Snapshot
    """Given as *after* to a later export, that one begins where this one ends."""
    gaps: list[Gap]
    """The gaps in the time that is asked for; with *after*, those that were not visible in it."""
    batches: AsyncIterator[list[Told]]


@asynccontextmanager
async def exporting(
    database: Database, source: Source[Told], wanted: TimeFilter, after: Snapshot | None
) -> AsyncIterator[Export[Told]]:
    """Yield the rows of *source* that match *wanted* and, if given, were not visible in *after*.

    They are no more than the export's snapshot covers. One transaction lasts as long as the block;
    PostgreSQL keeps rows deleted in that time.
    """
    async with database.transaction(statement_seconds=FETCH_SECONDS) as transaction:
        await transaction.execute(_ISOLATION)
        await transaction.execute(_LOCK)
        snapshot = await snapshot_now(transaction)
        arguments = Arguments()
        conditions = [snapshot.covered(arguments), *conditions_of(wanted, arguments)]
        if after is not None:
            conditions.append(after.unseen(arguments))
        sql = _DECLARE.format(
            columns=source.columns, table=source.table, conditions=" AND ".join(conditions)
        )
        await transaction.execute(sql, *arguments)
        gaps = await gaps_between(
            transaction, after or Snapshot.before_all(snapshot.cluster), snapshot, wanted
        )
        yield Export(snapshot, gaps, _batches(transaction, source))


async def _batches(transaction: Transaction, source: Source[Told]) -> AsyncIterator[list[Told]]:
    while rows := await transaction.fetch(_FETCH):
        yield source.read(rows)
