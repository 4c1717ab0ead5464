"""How far a read replica is behind its primary."""

import asyncio
from typing import Final

from audit_log.postgres.database import Database

_SETTLE_SECONDS: Final = 0.5
_PRIMARY: Final = "SELECT pg_current_wal_lsn()::text AS lsn"
# A promoted replica is not in recovery and has everything. The time is null if nothing was
# replayed yet.
_REPLICA: Final = """
SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= $1::text::pg_lsn AS has_all,
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS seconds
"""


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
