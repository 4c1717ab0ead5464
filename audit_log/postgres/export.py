"""All records that match a filter, however many, in constant memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Generic

from audit_log.filters import TimeFilter
from audit_log.postgres.arrivals import Snapshot, snapshot_now
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.gaps import gaps_between
from audit_log.postgres.reading.plain_sql import written_out
from audit_log.postgres.reading.sources import Source, Told
from audit_log.postgres.transaction import ONE_SNAPSHOT, Transaction
from audit_log.record import Gap

BATCH_RECORDS: Final = 1_000
FETCH_SECONDS: Final = 300.0  # the next match of a rare value may be far away

_ROWS: Final = """
SELECT {columns} FROM {table}
WHERE {conditions}
ORDER BY created_at, id
"""
# A cursor declared in SQL, not the driver's: that leaves named statements behind, and a connection
# pooler would give them to another client.
_DECLARE: Final = "DECLARE exported NO SCROLL CURSOR FOR "
_FETCH: Final = f"FETCH FORWARD {BATCH_RECORDS} FROM exported"
# What COPY writes depends on the first two, and a server, a database or a role may have others.
# The statement lasts as long as its reader reads: no limit may end it, and other questions need
# the workers that it would keep. PostgreSQL 16 and older have no `transaction_timeout`.
_AS_TEXT: Final = """
SET LOCAL DateStyle TO ISO;
SET LOCAL extra_float_digits TO 1;
SET LOCAL max_parallel_workers_per_gather TO 0;
SELECT set_config(name, '0', true) FROM pg_settings
WHERE name IN ('statement_timeout', 'transaction_timeout', 'tcp_user_timeout')
"""
# No limit, but planned as a cursor is: for its first tenth. It begins at once, in the order of an
# index, and does not sort millions of rows in files.
_AS_CURSOR: Final = "LIMIT (SELECT NULL::bigint)"


@dataclass(frozen=True, slots=True)
class Export(Generic[Told]):
    """Rows, oldest first, all from one snapshot. Read them once: in batches, or as text."""

    snapshot: Snapshot
    """Given as *after* to a later export, that one begins where this one ends."""
    gaps: list[Gap]
    """The gaps in the time that is asked for; with *after*, those that were not visible in it."""
    _transaction: Transaction
    _source: Source[Told]
    _conditions: str
    _arguments: Arguments

    async def batches(self) -> AsyncIterator[list[Told]]:
        """Yield the rows."""
        sql = self._rows(self._source.columns)
        await self._transaction.execute(_DECLARE + sql, *self._arguments)
        while rows := await self._transaction.fetch(_FETCH):
            yield self._source.read(rows)

    async def copy(self, columns: str, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Give *take* the *columns* in COPY's text format, some lines at a time.

        Moments are in UTC. It is three times as fast as `batches`: no value becomes an object.
        """
        await self._transaction.execute(_AS_TEXT)
        sql = written_out(self._rows(columns) + _AS_CURSOR, self._arguments)
        await self._transaction.copy_out(sql, take)

    def _rows(self, columns: str) -> str:
        return _ROWS.format(columns=columns, table=self._source.table, conditions=self._conditions)


@asynccontextmanager
async def exporting(
    database: Database, source: Source[Told], wanted: TimeFilter, after: Snapshot | None
) -> AsyncIterator[Export[Told]]:
    """Yield the rows of *source* that match *wanted* and, if given, were not visible in *after*.

    They are no more than the export's snapshot covers. One transaction lasts as long as the block;
    PostgreSQL keeps rows deleted in that time.
    """
    async with database.transaction(statement_seconds=FETCH_SECONDS) as transaction:
        await transaction.execute(ONE_SNAPSHOT)
        snapshot = await snapshot_now(transaction)
        arguments = Arguments()
        conditions = [snapshot.covered(arguments), *conditions_of(wanted, arguments)]
        if after is not None:
            conditions.append(after.unseen(arguments))
        gaps = await gaps_between(
            transaction, after or Snapshot.before_all(snapshot.cluster), snapshot, wanted
        )
        yield Export(snapshot, gaps, transaction, source, " AND ".join(conditions), arguments)
