"""Searches for agents' sessions: many by a query, one by its id with its tool calls."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from audit_log.filters import ToolCallFilter, one_of
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.invocations import (
    INVOCATION_COLUMNS,
    InvocationQuery,
    invocations_of,
)
from audit_log.postgres.rows import RECORD_COLUMNS, Place, plain_uuid, records_of
from audit_log.postgres.transaction import Row
from audit_log.record import AuditRecord, Invocation

# A session has no row of its own: it is found by the last of its tool calls that match, and what
# is told of it is counted from its index. Any of its tool calls may know who its client is.
# The tool calls are walked once, newest first, from each session's last one to that of a session
# not seen before. A probe for each tool call whether it is the last costs 80 times as much.
_NEXT_CALL: Final = """
    SELECT id, created_at, session FROM mcp_tool_invocation
    WHERE session IS NOT NULL AND {conditions} AND {further}
    ORDER BY created_at DESC, id DESC
    LIMIT 1
"""
_LAST_CALLS: Final = """
WITH RECURSIVE walk AS (
    SELECT first.*, ARRAY[first.session] AS seen FROM ({first}) AS first
    UNION ALL
    SELECT next.*, walk.seen || next.session FROM walk CROSS JOIN LATERAL ({next}) AS next
)
SELECT call.* FROM (SELECT id FROM walk WHERE {is_last} LIMIT {limit}) AS last
JOIN mcp_tool_invocation AS call USING (id)
"""
_AFTER_THOSE_SEEN: Final = (
    "(created_at, id) < (walk.created_at, walk.id) AND session <> ALL (walk.seen)"
)
_IS_LAST: Final = """NOT EXISTS (
    SELECT FROM mcp_tool_invocation WHERE session = walk.session AND {conditions} AND {not_before})
"""
_SESSIONS: Final = """
SELECT last.id AS last_id, last.created_at AS last_matching, last.session, last.token_id,
    last.token_name, last.user_agent, host(last.client_ip) AS client_ip, summary.*
FROM ({last_calls}) AS last
CROSS JOIN LATERAL (
    SELECT min(created_at) AS first_call, max(created_at) AS last_call, count(*) AS tool_calls,
        sum(api_calls)::bigint AS api_calls,
        count(*) FILTER (WHERE outcome IN ('tool_error', 'protocol_error')) AS failures,
        max(client_name) AS client_name, max(client_version) AS client_version,
        max(protocol_version) AS protocol_version
    FROM mcp_tool_invocation WHERE session = last.session
) AS summary
ORDER BY last.created_at DESC, last.id DESC
"""
_TOOL_CALLS: Final = """
SELECT {columns} FROM mcp_tool_invocation
WHERE session = {session}::uuid AND {after}
ORDER BY created_at, id
LIMIT {limit}
"""
_FIRST_CALLS: Final = """
SELECT found.* FROM unnest($1::uuid[]) AS asked (invocation)
CROSS JOIN LATERAL (
    SELECT {columns} FROM mcp_audit_log
    WHERE invocation_id = asked.invocation
    ORDER BY created_at, id
    LIMIT $2
) AS found
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSession:
    """One session of an agent, by its tool calls."""

    id: UUID
    token_id: UUID | None
    token_name: str
    client_name: str | None
    client_version: str | None
    protocol_version: str | None
    user_agent: str | None
    """As of its last call, like `client_ip`."""
    client_ip: str | None
    first_call: datetime
    last_call: datetime
    tool_calls: int
    api_calls: int
    failures: int
    """Tool calls that ended as `tool_error` or `protocol_error`."""
    place: Place
    """Of the last call that was looked for."""


async def search_sessions(database: Database, query: InvocationQuery) -> list[AgentSession]:
    """Return the sessions with a tool call that matches *query*, last used first."""
    arguments = Arguments()
    conditions = " AND ".join(conditions_of(query.filter, arguments)) or "true"
    before, is_last = "true", "true"
    if query.before is not None:
        before = query.before.condition("<", arguments)
        not_before = query.before.condition(">=", arguments)
        is_last = _IS_LAST.format(conditions=conditions, not_before=not_before)
    last_calls = _LAST_CALLS.format(
        first=_NEXT_CALL.format(conditions=conditions, further=before),
        next=_NEXT_CALL.format(conditions=conditions, further=_AFTER_THOSE_SEEN),
        is_last=is_last,
        limit=arguments.add(query.limit),
    )
    sql = _SESSIONS.format(last_calls=last_calls)
    return [_session(row) for row in await database.fetch(sql, *arguments)]


async def find_session(database: Database, session: UUID) -> AgentSession | None:
    """Return the session, or None if it has no tool call."""
    wanted = ToolCallFilter(session=one_of(session))
    found = await search_sessions(database, InvocationQuery(limit=1, filter=wanted))
    return found[0] if found else None


async def tool_calls_of(
    database: Database, session: UUID, after: Place | None, limit: int
) -> list[Invocation]:
    """Return the tool calls of *session* after a place, oldest first."""
    arguments = Arguments()
    sql = _TOOL_CALLS.format(
        columns=INVOCATION_COLUMNS,
        session=arguments.add(session),
        after="true" if after is None else after.condition(">", arguments),
        limit=arguments.add(limit),
    )
    return invocations_of(await database.fetch(sql, *arguments))


async def first_calls_of(
    database: Database, invocations: Sequence[UUID], each: int
) -> dict[UUID, list[AuditRecord]]:
    """Return the first API calls of *invocations*, oldest first, at most *each* of one."""
    sql = _FIRST_CALLS.format(columns=RECORD_COLUMNS)
    calls: defaultdict[UUID, list[AuditRecord]] = defaultdict(list)
    for record in records_of(await database.fetch(sql, invocations, each)):
        if record.invocation_id is not None:
            calls[record.invocation_id].append(record)
    return calls


def _session(row: Row) -> AgentSession:
    return AgentSession(
        id=plain_uuid(row["session"]),
        token_id=row["token_id"] and plain_uuid(row["token_id"]),
        token_name=row["token_name"],
        client_name=row["client_name"],
        client_version=row["client_version"],
        protocol_version=row["protocol_version"],
        user_agent=row["user_agent"],
        client_ip=row["client_ip"],
        first_call=row["first_call"],
        last_call=row["last_call"],
        tool_calls=row["tool_calls"],
        api_calls=row["api_calls"],
        failures=row["failures"],
        place=Place(row["last_matching"], plain_uuid(row["last_id"])),
    )
