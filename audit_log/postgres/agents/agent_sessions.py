"""Searches for agents' sessions: many by a query, one by its id with its tool calls."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from audit_log.postgres.conditions import Arguments
from audit_log.postgres.database import Database
from audit_log.postgres.invocations import (
    INVOCATION_COLUMNS,
    InvocationQuery,
    conditions_of_calls,
    invocation_of,
)
from audit_log.postgres.rows import RECORD_COLUMNS, Place, plain_uuid, records_of
from audit_log.postgres.transaction import Row
from audit_log.record import AuditRecord, Invocation

# A session has no row of its own: it is found by the last of its tool calls that match, and what
# is told of it is counted from its index. Any of its tool calls may know who its client is.
_LAST_CALLS: Final = """
SELECT * FROM mcp_tool_invocation AS call
WHERE session IS NOT NULL AND {conditions} AND {before}
    AND NOT EXISTS (
        SELECT FROM mcp_tool_invocation AS later
        WHERE later.session = call.session AND {conditions}
            AND (later.created_at, later.id) > (call.created_at, call.id))
ORDER BY created_at DESC, id DESC
LIMIT {limit}
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
_PLACE: Final = "(created_at, id) {} ({}::timestamptz, {}::uuid)"


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
    place = query.before
    conditions = conditions_of_calls(replace(query, before=None), arguments)
    before = "true"
    if place is not None:
        before = _PLACE.format("<", *map(arguments.add, place))
    last_calls = _LAST_CALLS.format(
        conditions=" AND ".join(conditions) or "true",
        before=before,
        limit=arguments.add(query.limit),
    )
    sql = _SESSIONS.format(last_calls=last_calls)
    return [_session(row) for row in await database.fetch(sql, *arguments)]


async def find_session(database: Database, session: UUID) -> AgentSession | None:
    """Return the session, or None if it has no tool call."""
    found = await search_sessions(database, InvocationQuery(limit=1, session=session))
    return found[0] if found else None


async def tool_calls_of(
    database: Database, session: UUID, after: Place | None, limit: int
) -> list[Invocation]:
    """Return the tool calls of *session* after a place, oldest first."""
    arguments = Arguments()
    sql = _TOOL_CALLS.format(
        columns=INVOCATION_COLUMNS,
        session=arguments.add(session),
        after="true" if after is None else _PLACE.format(">", *map(arguments.add, after)),
        limit=arguments.add(limit),
    )
    return [invocation_of(row) for row in await database.fetch(sql, *arguments)]


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
