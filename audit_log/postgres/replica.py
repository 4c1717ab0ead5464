"""How far a read replica is behind its primary, and what holds back what has arrived in it."""

import asyncio
from time import monotonic
from typing import Final

from audit_log.postgres.database import Database

_SETTLE_SECONDS: Final = 0.5
_PRIMARY: Final = "SELECT pg_current_wal_lsn()::text AS lsn"
# A promoted replica is not in recovery and has everything; a logical subscriber has what its
# subscriptions have told the primary. The time is null if nothing was replayed yet, and while a
# subscription does not run.
_REPLICA: Final = """
WITH subscription AS (
    SELECT bool_and(coalesce(latest_end_lsn >= $1::text::pg_lsn, false)) AS has_all,
        CASE WHEN bool_and(latest_end_time IS NOT NULL) THEN min(latest_end_time) END AS up_to
    FROM pg_stat_subscription
    WHERE relid IS NULL AND subid IN (
        SELECT srsubid FROM pg_subscription_rel
        WHERE srrelid = 'mcp_audit_log'::regclass OR srrelid IN (
            SELECT inhrelid FROM pg_inherits WHERE inhparent = 'mcp_audit_log'::regclass))
), replayed AS (
    SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn AS has_all,
        pg_last_xact_replay_timestamp() AS up_to
    WHERE pg_is_in_recovery()
    UNION ALL
    SELECT coalesce(has_all, true), up_to FROM subscription WHERE NOT pg_is_in_recovery()
)
SELECT has_all, extract(epoch FROM clock_timestamp() - up_to)::float8 AS seconds FROM replayed
"""
_OPEN: Final = """
SELECT CASE WHEN pg_is_in_recovery() AND pg_snapshot_xmin(snapshot) < pg_snapshot_xmax(snapshot)
    THEN pg_snapshot_xmin(snapshot)::text END AS oldest
FROM pg_current_snapshot() AS snapshot
"""
_LOOK_SECONDS: Final = 1.0
_TOLD_AFTER_SECONDS: Final = 5.0


class OpenTransaction:
    """The transaction on the primary for which readers of a replica wait, if there is one.

    A replica does not know which transactions are in progress, only the oldest of them. Live
    streams and exports therefore show what arrived before that one, until it has ended.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._oldest: str | None = None
        self._since = self._looked_at = float("-inf")

    async def problem(self) -> str | None:
        """Return for what streams and exports wait, or None; looks once a second at most."""
        now = monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now  # before the query: streams that ask meanwhile do not ask again
            row = await self._database.fetch_row(_OPEN)
            oldest = row["oldest"] if row else None
            if oldest != self._oldest:
                self._oldest, self._since = oldest, now
        if self._oldest is None or now - self._since < _TOLD_AFTER_SECONDS:
            return None
        return (
            f"live streams and exports wait for transaction {self._oldest} of the primary, open "
            f"for {now - self._since:.0f} s or longer: look for it in its pg_stat_activity "
            "(backend_xid) and pg_prepared_xacts"
        )


async def replica_lag(primary: Database, replica: Database) -> float | None:
    """Return how many seconds *replica* is behind *primary*; None if it cannot be known.

    The age of the last replayed transaction does not tell: behind an idle primary it grows while
    nothing is missing. So the positions in the write-ahead log are compared first. They are
    compared again after half a second, because every commit is replayed a moment later.
    """
    row = await primary.fetch_row(_PRIMARY)
    position = row and row["lsn"]
    row = await replica.fetch_row(_REPLICA, position)
    if row and not row["has_all"]:
        await asyncio.sleep(_SETTLE_SECONDS)
        row = await replica.fetch_row(_REPLICA, position)
    if row is None or row["has_all"] is None:
        return None
    return 0.0 if row["has_all"] else row["seconds"]
