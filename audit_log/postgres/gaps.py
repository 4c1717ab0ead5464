"""Searches for gaps: where records are known to be missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit_log.filters import TimeFilter
from audit_log.postgres.arrivals import Snapshot
from audit_log.postgres.conditions import Arguments
from audit_log.postgres.database import Database
from audit_log.postgres.rows import plain_uuid
from audit_log.postgres.transaction import Row, Transaction
from audit_log.record import Gap

_COLUMNS: Final = "id, started_at, ended_at, count, reason, instance"
_NEWEST: Final = """
SELECT {columns} FROM mcp_audit_gap WHERE {conditions}
ORDER BY started_at DESC, id DESC
LIMIT {limit}
"""
_ARRIVED: Final = """
SELECT {columns} FROM mcp_audit_gap WHERE {conditions}
ORDER BY started_at, id
"""


@dataclass(frozen=True, slots=True)
class GapQuery:
    """Selects gaps: those that overlap the time from `since` to before `until`."""

    limit: int
    since: datetime | None = None
    until: datetime | None = None


async def search_gaps(database: Database, query: GapQuery) -> list[Gap]:
    """Return the latest gaps that match *query*, newest first."""
    arguments = Arguments()
    sql = _NEWEST.format(
        columns=_COLUMNS,
        conditions=" AND ".join(_overlapping(query.since, query.until, arguments)) or "true",
        limit=arguments.add(query.limit),
    )
    return _gaps(await database.fetch(sql, *arguments))


async def gaps_between(
    source: Database | Transaction, seen: Snapshot, reading: Snapshot, wanted: TimeFilter
) -> list[Gap]:
    """Return the gaps that *reading* shows and *seen* does not, oldest first.

    They overlap the time that *wanted* asks for. Its other conditions are not held against them:
    nobody knows what the missing records were.
    """
    arguments = Arguments()
    conditions = [
        seen.unseen(arguments),
        reading.seen(arguments),
        *_overlapping(wanted.since, wanted.until, arguments),
    ]
    sql = _ARRIVED.format(columns=_COLUMNS, conditions=" AND ".join(conditions))
    return _gaps(await source.fetch(sql, *arguments))


def overlaps(gap: Gap, wanted: TimeFilter) -> bool:
    """Say whether *gap* overlaps the time that *wanted* asks for, as `gaps_between` does."""
    return (wanted.since is None or gap.ended_at >= wanted.since) and (
        wanted.until is None or gap.started_at < wanted.until
    )


def _overlapping(
    since: datetime | None, until: datetime | None, arguments: Arguments
) -> list[str]:
    conditions = []
    if since is not None:
        conditions.append(f"ended_at >= {arguments.add(since)}::timestamptz")
    if until is not None:
        conditions.append(f"started_at < {arguments.add(until)}::timestamptz")
    return conditions


def _gaps(rows: Sequence[Row]) -> list[Gap]:
    return [
        Gap(
            id=plain_uuid(row["id"]),
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            count=row["count"],
            reason=row["reason"],
            instance=row["instance"],
        )
        for row in rows
    ]
