"""Rows without a place in any log: older than the seal, of others, or inserted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from audit_log.postgres.transaction import Transaction

_COUNT: Final = """
SELECT sealed.instance,
    count(*) FILTER (WHERE created_at < begun) AS before,
    count(*) FILTER (WHERE created_at >= begun AND created_at <= last) AS inside,
    count(*) FILTER (WHERE created_at >= begun AND created_at <= last
        AND NOT created_at BETWEEN left_since AND left_until) AS unwaited,
    count(*) FILTER (WHERE created_at > last) AS later,
    min(created_at) FILTER (WHERE created_at BETWEEN begun AND '9999-12-30Z') AS oldest,
    max(created_at) FILTER (WHERE created_at BETWEEN begun AND '9999-12-30Z') AS newest,
    min(id::text) FILTER (WHERE created_at >= begun) AS example
FROM {source} AS row
JOIN unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[],
        $5::timestamptz[]) AS sealed (instance, begun, last, left_since, left_until)
    ON sealed.instance = row.instance
WHERE row.log IS NULL {arrived}
GROUP BY sealed.instance
"""
_OTHERS: Final = """
SELECT count(*) FROM {table}
WHERE log IS NULL AND instance <> ALL($1::text[]) {arrived}
"""
# The recorder itself tells of two kinds of gaps, for which the journal has no line.
_RECORDERS: Final = "('store_lost', 'record_refused')"
_GAPS: Final = f"""(
    SELECT id, instance, log, ended_at AS created_at FROM mcp_audit_gap
    WHERE reason NOT IN {_RECORDERS})"""  # noqa: S608
_RECORDERS_GAPS: Final = f"""
SELECT count(*) FROM mcp_audit_gap WHERE log IS NULL AND reason IN {_RECORDERS}
"""  # noqa: S608
_SOURCES: Final = {
    "mcp_audit_log": "mcp_audit_log",
    "mcp_tool_invocation": "mcp_tool_invocation",
    "mcp_audit_gap": _GAPS,
    "mcp_audit_read": "mcp_audit_read",
}
_HAVE_NO_ARRIVAL: Final = ("mcp_audit_gap", "mcp_audit_read")
"""They are few, and do not know when they arrived."""


class Unplaced(NamedTuple):
    """Rows of one instance in one table."""

    table: str
    before: int
    """Older than the instance's seal."""
    inside: int
    """Made while it was sealed."""
    unwaited: int
    """Of these, those that were not left to be written when a log began."""
    later: int
    """Made after its newest leaf."""
    oldest: datetime | None
    newest: datetime | None
    example: str | None
    """The id of one."""


class Span(NamedTuple):
    """From when to when an instance has leaves."""

    begun: datetime
    last: datetime
    left_since: datetime
    """From when to when what was left to be written when a log began was made."""
    left_until: datetime


async def unplaced_rows(
    transaction: Transaction, spans: Mapping[str, Span], since: datetime | None
) -> dict[str, list[Unplaced]]:
    """Return, by instance, what has no place; with *since* only what arrived since then."""
    times = list(zip(*spans.values(), strict=True)) or [()] * len(Span._fields)
    found: dict[str, list[Unplaced]] = {}
    for table, source in _SOURCES.items():
        moment = None if table in _HAVE_NO_ARRIVAL else since
        arrived = "" if moment is None else "AND row.arrived_at >= $6"
        sql = _COUNT.format(source=source, arrived=arrived)
        given = (list(spans), *times, *_and(moment))
        for instance, *counts in await transaction.fetch(sql, *given):
            found.setdefault(instance, []).append(Unplaced(table, *counts))
    return found


async def others_rows(
    transaction: Transaction, table: str, instances: Sequence[str], since: datetime | None
) -> int:
    """Return how many rows of *table* have no place and are of none of these *instances*."""
    since = None if table in _HAVE_NO_ARRIVAL else since
    arrived = "" if since is None else "AND arrived_at >= $2"
    row = await transaction.fetch_row(
        _OTHERS.format(table=table, arrived=arrived), list(instances), *_and(since)
    )
    return 0 if row is None else int(row[0])


async def recorders_gaps(transaction: Transaction) -> int:
    """Return how many gaps there are that have no leaf, as the recorder found them later."""
    row = await transaction.fetch_row(_RECORDERS_GAPS)
    return 0 if row is None else int(row[0])


def _and(since: datetime | None) -> list[datetime]:
    return [] if since is None else [since]
