"""How much the API is used: by time, and by token."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from audit_log.filters import RecordFilter
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.rows import plain_uuid

TOKEN_DAYS: Final = 30
MAX_TOKENS: Final = 500

_COUNTS: Final = """
SELECT date_bin({step}::interval, created_at, {origin}::timestamptz) AS start,
    status_code / 100 AS class, count(*) AS calls
FROM mcp_audit_log
WHERE {conditions}
GROUP BY 1, 2
"""
# Tokens with an id are found by a skip scan of the index, however long ago they were used. Calls
# without an id (the Hub, unknown tokens) can have any number of names, so only those of the last
# days are returned.
_TOKENS: Final = """
WITH RECURSIVE token AS (
    (SELECT token_id FROM mcp_audit_log WHERE token_id IS NOT NULL ORDER BY token_id LIMIT 1)
    UNION ALL
    SELECT (SELECT later.token_id FROM mcp_audit_log AS later
            WHERE later.token_id > token.token_id ORDER BY later.token_id LIMIT 1)
    FROM token WHERE token.token_id IS NOT NULL
), recent AS MATERIALIZED (
    SELECT token_id, CASE WHEN token_id IS NULL THEN token_name END AS token_name,
        count(*) AS calls, max(created_at) AS last_used,
        count(*) FILTER (WHERE outcome = 'refused' OR status_code IN (401, 403)) AS refused
    FROM mcp_audit_log
    WHERE created_at >= now() - make_interval(days => $1)
    GROUP BY 1, 2
)
SELECT newest.token_name, token.token_id, newest.created_at AS last_used,
    coalesce(recent.calls, 0) AS calls, coalesce(recent.refused, 0) AS refused
FROM token
CROSS JOIN LATERAL (
    SELECT token_name, created_at FROM mcp_audit_log WHERE token_id = token.token_id
    ORDER BY created_at DESC, id DESC LIMIT 1
) AS newest
LEFT JOIN recent ON recent.token_id = token.token_id
UNION ALL
SELECT token_name, token_id, last_used, calls, refused FROM recent WHERE token_id IS NULL
ORDER BY last_used DESC, token_name
LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Count:
    """How many calls with one class of status codes arrived in one span of time."""

    start: datetime
    status_class: int
    """The first digit of the status codes."""
    calls: int


@dataclass(frozen=True, slots=True)
class TokenUse:
    """How one token was used."""

    token_name: str
    """Its latest name."""
    token_id: UUID | None
    last_used: datetime
    calls: int
    """In the last 30 days, like `refused`."""
    refused: int


async def count_calls(
    database: Database, wanted: RecordFilter, step: timedelta, origin: datetime
) -> list[Count]:
    """Return how many calls match *wanted*, in spans of *step* from *origin* on."""
    arguments = Arguments()
    sql = _COUNTS.format(
        step=arguments.add(step),
        origin=arguments.add(origin),
        conditions=" AND ".join(conditions_of(wanted, arguments)) or "true",
    )
    return [
        Count(row["start"], row["class"], row["calls"])
        for row in await database.fetch(sql, *arguments)
    ]


async def tokens_used(database: Database) -> list[TokenUse]:
    """Return the tokens that were used, last used first; at most 500."""
    return [
        TokenUse(
            token_name=row["token_name"],
            token_id=row["token_id"] and plain_uuid(row["token_id"]),
            last_used=row["last_used"],
            calls=row["calls"],
            refused=row["refused"],
        )
        for row in await database.fetch(_TOKENS, TOKEN_DAYS, MAX_TOKENS)
    ]
