"""Searches for tool calls: many by a query, one by its id."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

from audit_log.filters import EVERY_TOOL_CALL, ToolCallFilter
from audit_log.postgres.conditions import Arguments, conditions_of
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


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationQuery:
    """Selects tool calls, and says how many at most."""

    limit: int
    filter: ToolCallFilter = EVERY_TOOL_CALL
    before: Place | None = None


async def search_invocations(database: Database, query: InvocationQuery) -> list[Invocation]:
    """Return the newest tool calls that match *query*, newest first."""
    arguments = Arguments()
    conditions = conditions_of(query.filter, arguments)
    if query.before is not None:
        conditions.append(query.before.condition("<", arguments))
    sql = _SEARCH.format(
        columns=INVOCATION_COLUMNS,
        conditions=" AND ".join(conditions) or "true",
        limit=arguments.add(query.limit),
    )
    return invocations_of(await database.fetch(sql, *arguments))


async def find_invocation(database: Database, invocation_id: UUID) -> Invocation | None:
    """Return the tool call with *invocation_id*, or None."""
    sql = _SEARCH.format(columns=INVOCATION_COLUMNS, conditions="id = $1", limit=1)
    row = await database.fetch_row(sql, invocation_id)
    return invocation_of(row) if row else None


def invocations_of(rows: Sequence[Row]) -> list[Invocation]:
    """Return the tool calls in *rows*, which have the columns `INVOCATION_COLUMNS`."""
    return [invocation_of(row) for row in rows]


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
