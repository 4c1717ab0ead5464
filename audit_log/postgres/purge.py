"""Letting old records go: a partition or a small batch at a time, so that nobody waits for it."""

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
_PURGE: Final = "SELECT name, is_whole, records, bytes FROM mcp_audit_purge($1, $2)"


@dataclass(frozen=True, slots=True)
class Applied:
    """The retention that the database holds to."""

    retention: Retention
    has_met_budget: bool
    """Whether the byte budget has ever made records go."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What one step removed."""

    name: str
    """The partition, or the table whose records they were."""
    is_whole: bool
    """Whether it was dropped as a whole; `records` is then the planner's guess."""
    records: int
    bytes: int


async def applied_retention(database: Database) -> Applied:
    """Return the retention that was last applied."""
    row = await database.fetch_row(_APPLIED)
    if row is None:
        raise StoreUnavailableError("mcp_audit_retention has lost its row")
    return Applied(Retention(row["days"], row["max_bytes"]), row["budget_reached_at"] is not None)


async def apply_retention(database: Database, retention: Retention) -> None:
    """Let the database hold to *retention* from now on. Removes nothing yet."""
    await database.execute(_APPLY, retention.days, retention.max_bytes)


async def purging(database: Database, moment: datetime) -> AsyncIterator[Removed]:
    """Remove what arrived before *moment*, step by step; yield what each has removed.

    Each step is a transaction. Raises `StoreUnavailableError` when a partition is being read for
    so long that dropping it would hold others up: what is left goes the next time.
    """
    while rows := await database.fetch(_PURGE, moment, BATCH_RECORDS):
        yield Removed(**dict(rows[0]))
