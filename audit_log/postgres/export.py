"""All records that answer a question, however many, in constant memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from audit_log.filters import RecordFilter
from audit_log.postgres.arrivals import Snapshot, snapshot_now
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.rows import RECORD_COLUMNS, records_of
from audit_log.postgres.transaction import Transaction
from audit_log.record import AuditRecord

BATCH_RECORDS: Final = 1_000
_FETCH_SECONDS: Final = 300.0  # a rare value may be far away

# By statement, not by the driver's own cursors: those leave named statements behind, which a
# connection pooler would hand on to somebody else.
_DECLARE: Final = """
DECLARE exported NO SCROLL CURSOR FOR
SELECT {columns} FROM mcp_audit_log
WHERE {conditions}
ORDER BY created_at, id
"""
_FETCH: Final = f"FETCH FORWARD {BATCH_RECORDS} FROM exported"
_ISOLATION: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@dataclass(frozen=True, slots=True)
class Export:
    """Records in batches, oldest first, all as of one moment."""

    snapshot: Snapshot
    """The moment: a later export of what this does not show begins where this one ends."""
    batches: AsyncIterator[list[AuditRecord]]


@asynccontextmanager
async def exporting(
    database: Database, wanted: RecordFilter, after: Snapshot | None
) -> AsyncIterator[Export]:
    """Yield the records that are *wanted* and, if given, were not to be seen in *after*.

    One transaction lasts as long as the block; PostgreSQL keeps what is deleted meanwhile.
    """
    arguments = Arguments()
    conditions = conditions_of(wanted, arguments)
    if after is not None:
        conditions.append(after.unseen(arguments))
    sql = _DECLARE.format(columns=RECORD_COLUMNS, conditions=" AND ".join(conditions) or "true")
    async with database.transaction(statement_seconds=_FETCH_SECONDS) as transaction:
        await transaction.execute(_ISOLATION)
        snapshot = await snapshot_now(transaction)
        await transaction.execute(sql, *arguments)
        yield Export(snapshot, _batches(transaction))


async def _batches(transaction: Transaction) -> AsyncIterator[list[AuditRecord]]:
    while rows := await transaction.fetch(_FETCH):
        yield records_of(rows)
