"""Removes old records, a partition or a small batch at a time, so that others never wait long.

Theory of operation. `audit_log/retention.py` decides up to which moment records go. The SQL
function `mcp_audit_purge` (migration 0008) takes one step towards it and says what it removed: it
drops a partition whose records are all older, or else deletes one batch of rows. Each step is a
transaction of its own, so after a kill the next run goes on where this one stopped.

DROP TABLE needs a lock that conflicts with every reader, and all later queries queue behind a
waiting DROP. So the function waits for 300 ms at most; after that the step fails with "not now".

The function runs with its owner's rights, and never removes more than the applied retention
allows. The applied retention is a row of `mcp_audit_retention`, on which all
sidecars and the command agree.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit_log.errors import StoreUnavailableError
from audit_log.postgres.database import Database
from audit_log.retention import Retention

BATCH_RECORDS: Final = 5_000

_APPLIED: Final = "SELECT days, max_bytes, budget_reached_at FROM mcp_audit_retention"
_APPLY: Final = """
UPDATE mcp_audit_retention
SET days = $1, max_bytes = $2, applied_at = now(), budget_reached_at = NULL
"""
_PRUNED_AT_ONCE: Final = 200
"""Tiles; hashing what stays of them takes a fifth of a second."""
_PURGE: Final = "SELECT name, is_whole, records, bytes FROM mcp_audit_purge($1, $2)"
_PRUNE: Final = """
SELECT name, false AS is_whole, records, 0::bigint AS bytes FROM mcp_audit_seal_prune($1)
"""


@dataclass(frozen=True, slots=True)
class Applied:
    """The retention that the database applies."""

    retention: Retention
    has_met_budget: bool
    """Whether the byte budget has ever removed records."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What one step removed."""

    name: str
    """The partition, or the table that the records were deleted from."""
    is_whole: bool
    """Whether it was dropped as a whole; `records` is then the planner's estimate."""
    records: int
    bytes: int


async def applied_retention(database: Database) -> Applied:
    """Return the retention that was last applied."""
    row = await database.fetch_row(_APPLIED)
    if row is None:
        raise StoreUnavailableError("mcp_audit_retention has lost its row")
    return Applied(Retention(row["days"], row["max_bytes"]), row["budget_reached_at"] is not None)


async def apply_retention(database: Database, retention: Retention) -> None:
    """Store *retention* as the one to apply from now on. Removes nothing yet."""
    await database.execute(_APPLY, retention.days, retention.max_bytes)


async def purging(database: Database, moment: datetime) -> AsyncIterator[Removed]:
    """Remove what arrived before *moment*, step by step; yield what each step removed.

    Each step is a transaction. Raises `StoreUnavailableError` if a partition is being read for so
    long that dropping it would make others wait; a later call goes on.
    """
    while rows := await database.fetch(_PURGE, moment, BATCH_RECORDS):
        yield Removed(**dict(rows[0]))


async def pruning(database: Database) -> AsyncIterator[Removed]:
    """Remove what the seal needs no longer (migration 0022); yield what each step removed."""
    while rows := await database.fetch(_PRUNE, _PRUNED_AT_ONCE):
        for row in rows:
            yield Removed(**dict(row))
