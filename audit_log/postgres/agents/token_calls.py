"""What one token has done: how often it was used and by which tools, in some time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from audit_log.filters import RecordFilter, ToolCallFilter
from audit_log.postgres.conditions import CHANGES, REFUSED, Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.reading.facet_statements import COUNTING
from audit_log.postgres.rows import plain_uuid
from audit_log.postgres.transaction import Row, Transaction

# When it was first and last used is told of all time: the index of each filter by token gives it.
# A call that is dated in the future was made by the time it arrived.
_CALLS: Final = """
SELECT least(first.created_at, first.arrived_at) AS first_used,
    least(last.created_at, last.arrived_at) AS last_used, last.token_id, last.token_name,
    counted.*
FROM (
    SELECT count(*) AS calls, count(*) FILTER (WHERE {changes}) AS changes,
        count(*) FILTER (WHERE {refused}) AS refused,
        count(*) FILTER (WHERE status_code >= 500) AS failed
    FROM mcp_audit_log
    WHERE {token} AND created_at >= {since}::timestamptz AND created_at < {until}::timestamptz
) AS counted
LEFT JOIN LATERAL (
    SELECT created_at, arrived_at FROM mcp_audit_log
    WHERE {token} ORDER BY created_at, id LIMIT 1
) AS first ON true
LEFT JOIN LATERAL (
    SELECT created_at, arrived_at, token_id, token_name FROM mcp_audit_log
    WHERE {token} ORDER BY created_at DESC, id DESC LIMIT 1
) AS last ON true
"""
_TOOLS: Final = """
SELECT tool, count(*) AS calls,
    count(*) FILTER (WHERE outcome IN ('tool_error', 'protocol_error')) AS failed,
    min(created_at) AS first, max(created_at) AS last,
    max(token_name) AS token_name, max(token_id::text)::uuid AS token_id,
    (sum(count(*)) OVER ())::bigint AS total,
    min(min(created_at)) OVER () AS first_used, max(max(created_at)) OVER () AS last_used
FROM mcp_tool_invocation
WHERE {conditions}
GROUP BY tool
ORDER BY calls DESC, tool
LIMIT {limit}
"""


@dataclass(frozen=True, slots=True)
class UsedTool:
    """How often a tool was called."""

    tool: str
    calls: int
    failed: int
    """Tool calls that ended as `tool_error` or `protocol_error`."""
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCalls:
    """How one token was used."""

    token_name: str
    """As of its last call, like `token_id`."""
    token_id: UUID | None
    first_used: datetime
    last_used: datetime
    calls: int
    """API calls in the time asked for, like all that follow."""
    changes: int
    refused: int
    failed: int
    """With status 5xx."""
    tool_calls: int
    tools: Sequence[UsedTool]
    """Those with the most tool calls."""


async def calls_of_token(
    database: Database, token: Mapping[str, Any], since: datetime, until: datetime, limit: int
) -> TokenCalls | None:
    """Return what a token did between two moments, with *limit* tools at most.

    *token* has one filter by token, as `RecordFilter` takes it. Return None if no call was made
    with it: no API call ever, and no tool call in this time.
    """
    wanted = ToolCallFilter(**token, since=since, until=until)
    async with database.transaction() as transaction:
        await transaction.execute(COUNTING)
        calls = await _calls(transaction, RecordFilter(**token), since, until)
        tools = await _tools(transaction, wanted, limit)
    used = calls if calls["first_used"] is not None else tools[0] if tools else None
    if used is None:
        return None
    return TokenCalls(
        token_name=used["token_name"],
        token_id=used["token_id"] and plain_uuid(used["token_id"]),
        first_used=used["first_used"],
        last_used=used["last_used"],
        **{name: calls[name] for name in ("calls", "changes", "refused", "failed")},
        tool_calls=tools[0]["total"] if tools else 0,
        tools=[UsedTool(**{name: row[name] for name in UsedTool.__slots__}) for row in tools],
    )


async def _calls(
    transaction: Transaction, token: RecordFilter, since: datetime, until: datetime
) -> Row:
    arguments = Arguments()
    sql = _CALLS.format(
        token=" AND ".join(conditions_of(token, arguments)),
        since=arguments.add(since),
        until=arguments.add(until),
        changes=CHANGES,
        refused=REFUSED,
    )
    [row] = await transaction.fetch(sql, *arguments)
    return row


async def _tools(transaction: Transaction, wanted: ToolCallFilter, limit: int) -> Sequence[Row]:
    arguments = Arguments()
    conditions = " AND ".join(conditions_of(wanted, arguments))
    sql = _TOOLS.format(conditions=conditions, limit=arguments.add(limit))
    return await transaction.fetch(sql, *arguments)
