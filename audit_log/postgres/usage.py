"""How much the API is used: by time, and by token."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from audit_log.filters import RecordFilter, TimeFilter
from audit_log.postgres.conditions import OF_UNKNOWN_TOKEN, REFUSED, Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.reading.sources import Source, Told
from audit_log.postgres.rows import plain_uuid

TOKEN_DAYS: Final = 30
UNKNOWN_TOKENS: Final = "Unknown tokens"
"""The name of all unknown tokens together."""

# How many are refused is counted of API calls only: tool calls have no such condition.
_COUNTS: Final = """
SELECT width_bucket(created_at, {edges}::timestamptz[]) AS bucket,
    status_code / 100 AS class, {refused} AS is_refused, count(*) AS calls
FROM {table}
WHERE created_at >= {first}::timestamptz AND created_at < {last}::timestamptz AND {conditions}
GROUP BY 1, 2, 3
"""
_OLDEST: Final = "SELECT min(created_at) AS oldest FROM {table}"
# Tokens with an id are found by a skip scan of the index, however long ago they were used. Calls
# without an id (the Hub) are looked for in the last days. Unknown tokens are one row: a client can
# invent any number of them, and they must displace no other. A call that is dated in the future
# was made by the time it arrived; where that is null, least() leaves its own.
_TOKENS: Final = """
WITH RECURSIVE token AS (
    (SELECT token_id FROM mcp_audit_log WHERE token_id IS NOT NULL ORDER BY token_id LIMIT 1)
    UNION ALL
    SELECT (SELECT later.token_id FROM mcp_audit_log AS later
            WHERE later.token_id > token.token_id ORDER BY later.token_id LIMIT 1)
    FROM token WHERE token.token_id IS NOT NULL
), recent AS MATERIALIZED (
    SELECT token_id, CASE WHEN token_id IS NULL THEN token_name END AS token_name,
        count(*) AS calls, max(least(created_at, arrived_at)) AS last_used,
        count(*) FILTER (WHERE outcome = 'refused' OR status_code IN (401, 403)) AS refused
    FROM mcp_audit_log
    WHERE created_at >= now() - make_interval(days => $1)
    GROUP BY 1, 2
)
SELECT newest.token_name, token.token_id, newest.created_at AS last_used,
    coalesce(recent.calls, 0) AS calls, coalesce(recent.refused, 0) AS refused,
    NULL::bigint AS unknown_tokens
FROM token
CROSS JOIN LATERAL (
    (SELECT token_name, created_at FROM mcp_audit_log
     WHERE token_id = token.token_id AND created_at < now() + interval '5 minutes'
     ORDER BY created_at DESC, id DESC LIMIT 1)
    UNION ALL
    (SELECT token_name, least(created_at, arrived_at) FROM mcp_audit_log
     WHERE token_id = token.token_id ORDER BY created_at DESC, id DESC LIMIT 1)
    LIMIT 1
) AS newest
LEFT JOIN recent ON recent.token_id = token.token_id
UNION ALL
SELECT token_name, token_id, last_used, calls, refused, NULL
FROM recent WHERE token_id IS NULL AND NOT {unknown}
UNION ALL
SELECT $2, NULL, max(last_used), sum(calls)::bigint, sum(refused)::bigint, count(*)
FROM recent WHERE {unknown} HAVING count(*) > 0
ORDER BY last_used DESC, token_name
"""


@dataclass(frozen=True, slots=True)
class Count:
    """How many calls with one class of status codes were made in one span of time."""

    start: datetime
    status_class: int
    """The first digit of the status codes."""
    is_refused: bool
    calls: int


@dataclass(frozen=True, slots=True)
class TokenUse:
    """How one token was used, or all unknown tokens together."""

    token_name: str
    """Its latest name."""
    token_id: UUID | None
    last_used: datetime
    calls: int
    """In the last 30 days, like `refused`."""
    refused: int
    unknown_tokens: int | None
    """How many unknown tokens these are; None for one token."""


async def count_calls(
    database: Database,
    source: Source[Told],
    wanted: TimeFilter,
    edges: Sequence[datetime],
) -> list[Count]:
    """Return how many of *source* match *wanted* in each span between two of *edges*."""
    arguments = Arguments()
    sql = _COUNTS.format(
        table=source.table,
        edges=arguments.add(edges),
        first=arguments.add(edges[0]),
        last=arguments.add(edges[-1]),
        refused=REFUSED if isinstance(wanted, RecordFilter) else "false",
        conditions=" AND ".join(conditions_of(wanted, arguments)) or "true",
    )
    return [
        Count(edges[row["bucket"] - 1], row["class"], row["is_refused"], row["calls"])
        for row in await database.fetch(sql, *arguments)
    ]


async def oldest_of(database: Database, source: Source[Told]) -> datetime | None:
    """Return when the oldest of *source* was made; None if there is none."""
    row = await database.fetch_row(_OLDEST.format(table=source.table))
    return None if row is None else row["oldest"]


async def tokens_used(database: Database) -> list[TokenUse]:
    """Return the tokens that were used, last used first; the unknown ones as one."""
    sql = _TOKENS.format(unknown=OF_UNKNOWN_TOKEN)
    return [
        TokenUse(
            token_name=row["token_name"],
            token_id=row["token_id"] and plain_uuid(row["token_id"]),
            last_used=row["last_used"],
            calls=row["calls"],
            refused=row["refused"],
            unknown_tokens=row["unknown_tokens"],
        )
        for row in await database.fetch(sql, TOKEN_DAYS, UNKNOWN_TOKENS)
    ]
