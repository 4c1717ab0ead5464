"""Tool calls and API calls in one order of time: an API call stands with its tool call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from audit_log.filters import StoredFilter, ToolCallFilter
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.invocations import InvocationQuery, search_invocations
from audit_log.postgres.rows import RECORD_COLUMNS, Place, records_of
from audit_log.record import AuditRecord, Invocation

# The columns of the inner WHERE are those of the tool calls. An API call whose tool call goes on,
# or does not match, stands alone. OFFSET 0 has each looked up by its id: the planner would read
# all tool calls that match, for a page of a hundred calls.
_ALONE: Final = """
SELECT {columns} FROM mcp_audit_log
WHERE {conditions} AND (invocation_id IS NULL OR NOT EXISTS (
    SELECT FROM mcp_tool_invocation WHERE id = mcp_audit_log.invocation_id AND {of_tool_calls}
    OFFSET 0))
ORDER BY created_at DESC, id DESC
LIMIT {limit}
"""


@dataclass(frozen=True, slots=True)
class TimelineFilter:
    """Which API calls and which tool calls are meant."""

    calls: StoredFilter
    tool_calls: ToolCallFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineQuery:
    """Selects calls of both kinds, and says how many at most."""

    limit: int
    filter: TimelineFilter
    before: Place | None


async def search_timeline(
    database: Database, query: TimelineQuery
) -> list[AuditRecord | Invocation]:
    """Return the newest tool calls, and API calls that stand alone, newest first."""
    wanted = InvocationQuery(
        limit=query.limit, filter=query.filter.tool_calls, before=query.before
    )
    tool_calls = await search_invocations(database, wanted)
    # API calls older than the last of a full page of tool calls are of no use. Without this end,
    # a log of tool calls alone would be searched through for an API call that stands alone.
    oldest = Place.of(tool_calls[-1]) if len(tool_calls) == query.limit else None
    alone = await _alone(database, query, oldest)
    found: list[AuditRecord | Invocation] = [*tool_calls, *alone]
    return sorted(found, key=Place.of, reverse=True)[: query.limit]


async def _alone(
    database: Database, query: TimelineQuery, oldest: Place | None
) -> Sequence[AuditRecord]:
    arguments = Arguments()
    calls = query.filter.calls
    if oldest is not None:
        # Beside the place itself, so that the planner sees which partitions these are.
        since = max(calls.since or oldest.created_at, oldest.created_at)
        calls = replace(calls, since=since)
    conditions = conditions_of(calls, arguments)
    for sign, place in (("<", query.before), (">", oldest)):
        if place is not None:
            conditions.append(place.condition(sign, arguments))
    sql = _ALONE.format(
        columns=RECORD_COLUMNS,
        conditions=" AND ".join(conditions) or "true",
        of_tool_calls=" AND ".join(conditions_of(query.filter.tool_calls, arguments)) or "true",
        limit=arguments.add(query.limit),
    )
    return records_of(await database.fetch(sql, *arguments))
