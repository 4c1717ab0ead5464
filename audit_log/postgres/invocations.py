"""Searches for tool calls: many by a query, one by its id."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from audit_log.postgres.conditions import (
    CLOCK_AHEAD_CONDITIONS,
    UNKNOWN_TOKEN_CONDITIONS,
    Arguments,
    like,
)
from audit_log.postgres.database import Database
from audit_log.postgres.rows import Place, in_words_of, plain_uuid
from audit_log.postgres.transaction import Row
from audit_log.record import Claim, Invocation, Origin, ToolOutcome

INVOCATION_COLUMNS: Final = """id, token_id, token_name, tool, created_at, duration_ms,
    outcome, status_code, error_code, api_calls, rounds, origin, host(client_ip) AS client_ip,
    request_id, instance, session, protocol_version, client_name, client_version, user_agent,
    principal, claims, arrived_at"""
_SEARCH: Final = """
SELECT {columns} FROM mcp_tool_invocation
WHERE {conditions}
ORDER BY created_at DESC, id DESC
LIMIT {limit}
"""
_COUNT: Final = """
SELECT count(*) AS invocations
FROM (SELECT FROM mcp_tool_invocation WHERE {conditions} LIMIT {limit}) AS counted
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationQuery:
    """Selects tool calls: all conditions that are not None must hold."""

    limit: int
    tool: str | None = None
    token_name: str | None = None
    token_id: UUID | None = None
    unknown_tokens: bool | None = None
    outcome: ToolOutcome | None = None
    session: UUID | None = None
    client_name: str | None = None
    principal: str | None = None
    user_agent: str | None = None
    """A prefix; with a `*` in it a pattern for the whole text, `*` standing for any text."""
    since: datetime | None = None
    until: datetime | None = None
    arrived_since: datetime | None = None
    arrived_until: datetime | None = None
    clock_ahead: bool | None = None
    before: Place | None = None


async def search_invocations(database: Database, query: InvocationQuery) -> list[Invocation]:
    """Return the newest tool calls that match *query*, newest first."""
    arguments = Arguments()
    sql = _SEARCH.format(
        columns=INVOCATION_COLUMNS,
        conditions=" AND ".join(conditions_of_calls(query, arguments)) or "true",
        limit=arguments.add(query.limit),
    )
    return [invocation_of(row) for row in await database.fetch(sql, *arguments)]


async def count_invocations(database: Database, query: InvocationQuery) -> int:
    """Return how many tool calls match *query*; no more than its limit are counted."""
    arguments = Arguments()
    sql = _COUNT.format(
        conditions=" AND ".join(conditions_of_calls(query, arguments)) or "true",
        limit=arguments.add(query.limit),
    )
    row = await database.fetch_row(sql, *arguments)
    return 0 if row is None else int(row["invocations"])


def conditions_of_calls(query: InvocationQuery, arguments: Arguments) -> list[str]:
    """Return the SQL conditions of *query*; append their values to *arguments*."""
    wanted = {
        "tool = {}": query.tool,
        "token_name = {}": query.token_name,
        "token_id = {}::uuid": query.token_id,
        "outcome = {}": query.outcome,
        "session = {}::uuid": query.session,
        "client_name = {}": query.client_name,
        "principal = {}": query.principal,
        "user_agent LIKE {}": query.user_agent and like(query.user_agent),
        "created_at >= {}::timestamptz": query.since,
        "created_at < {}::timestamptz": query.until,
        "arrived_at >= {}::timestamptz": query.arrived_since,
        "arrived_at < {}::timestamptz": query.arrived_until,
    }
    conditions = [
        condition.format(arguments.add(value))
        for condition, value in wanted.items()
        if value is not None
    ]
    conditions += UNKNOWN_TOKEN_CONDITIONS[query.unknown_tokens]
    conditions += CLOCK_AHEAD_CONDITIONS[query.clock_ahead]
    if query.before is not None:
        created_at, id_ = map(arguments.add, query.before)
        conditions.append(f"(created_at, id) < ({created_at}::timestamptz, {id_}::uuid)")
    return conditions


async def find_invocation(database: Database, invocation_id: UUID) -> Invocation | None:
    """Return the tool call with *invocation_id*, or None."""
    sql = _SEARCH.format(columns=INVOCATION_COLUMNS, conditions="id = $1", limit=1)
    row = await database.fetch_row(sql, invocation_id)
    return invocation_of(row) if row else None


def invocation_of(row: Row) -> Invocation:
    """Return the tool call in *row*, which has the columns `INVOCATION_COLUMNS`."""
    return Invocation(
        id=plain_uuid(row["id"]),
        created_at=row["created_at"],
        tool=row["tool"],
        outcome=in_words_of(ToolOutcome, row["outcome"]),
        status_code=row["status_code"],
        origin=in_words_of(Origin, row["origin"]),
        instance=row["instance"],
        token_id=row["token_id"] and plain_uuid(row["token_id"]),
        token_name=row["token_name"],
        duration_ms=row["duration_ms"],
        api_calls=row["api_calls"],
        error_code=row["error_code"],
        rounds=row["rounds"],
        client_ip=row["client_ip"],
        request_id=row["request_id"],
        session=row["session"] and plain_uuid(row["session"]),
        protocol_version=row["protocol_version"],
        client_name=row["client_name"],
        client_version=row["client_version"],
        user_agent=row["user_agent"],
        principal=row["principal"],
        claims=row["claims"] and msgspec.json.decode(row["claims"], type=dict[str, Claim]),
        arrived_at=row["arrived_at"],
    )
