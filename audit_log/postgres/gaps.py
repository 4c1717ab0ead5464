"""Searches for gaps: where records are known to be missing."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit_log.postgres.database import Database
from audit_log.postgres.rows import plain_uuid
from audit_log.postgres.transaction import Row
from audit_log.record import Gap

_GAPS: Final = """
SELECT id, started_at, ended_at, count, reason, instance
FROM mcp_audit_gap
WHERE ($2::timestamptz IS NULL OR ended_at >= $2)
    AND ($3::timestamptz IS NULL OR started_at < $3)
ORDER BY started_at DESC, id DESC
LIMIT $1
"""


@dataclass(frozen=True, slots=True)
class GapQuery:
    """Selects gaps: those that overlap the time from `since` to before `until`."""

    limit: int
    since: datetime | None = None
    until: datetime | None = None


async def search_gaps(database: Database, query: GapQuery) -> list[Gap]:
    """Return the latest gaps that match *query*, newest first."""
    return [
        _gap(row) for row in await database.fetch(_GAPS, query.limit, query.since, query.until)
    ]


def _gap(row: Row) -> Gap:
    return Gap(
        id=plain_uuid(row["id"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        count=row["count"],
        reason=row["reason"],
        instance=row["instance"],
    )
