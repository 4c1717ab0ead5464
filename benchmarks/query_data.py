"""A log of any length, made inside PostgreSQL: 90 days of calls as an installation has them."""

import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from audit_log.postgres.database import Database
from audit_log.schema.migrate import ensure_partitions, migrate

STARTED: Final = datetime(2026, 1, 1, tzinfo=UTC)
ENDED: Final = STARTED + timedelta(days=90)
LIMIT: Final = 101
"""A page, and the one more that tells whether there is a next."""
_PORTION: Final = 250_000

# 38 tokens of falling frequency, the Hub, and unknown tokens; six calls in ten by tools,
# three to a tool call. Values of every frequency from one in two to one in 100,000.
_FILL: Final = """
INSERT INTO mcp_audit_log (
    id, token_id, token_name, method, path, status_code, created_at, outcome, duration_ms,
    client_ip, user_agent, tool, invocation_id, attribution, request_id, instance)
SELECT
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
        || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
    CASE WHEN token < 38 THEN md5('token-' || token)::uuid END,
    CASE WHEN token < 38 THEN 'token-' || token WHEN token = 38 THEN 'Hub Tunnel (hub)'
        ELSE 'Unknown token (' || substr(md5(n::text), 1, 8) || ')' END,
    CASE WHEN token = 38 THEN 'TOOL' ELSE
        (ARRAY['GET','GET','GET','GET','GET','GET','POST','POST','PUT','DELETE'])
            [1 + floor(r1 * 10)::integer] END,
    '/api/v1/' || (ARRAY['clusters','hosts','workloads','assignments','settings'])
        [1 + floor(r2 * 5)::integer] || '/' || floor(r3 * 20000)::integer,
    CASE WHEN token = 39 THEN 401 WHEN r4 < 0.93 THEN 200 WHEN r4 < 0.96 THEN 201
        WHEN r4 < 0.985 THEN 404 WHEN r4 < 0.99 THEN 403 WHEN r4 < 0.999 THEN 500
        WHEN r4 < 0.99999 THEN 502 ELSE 418 END,
    at,
    CASE WHEN token = 39 THEN 'refused' WHEN r4 < 0.999 THEN 'completed'
        WHEN r4 < 0.99999 THEN 'upstream_unreachable' ELSE 'interrupted' END,
    r3 * 100,
    ('10.' || floor(r5 * 4)::integer || '.' || floor(r3 * 250)::integer
        || '.' || floor(r1 * 250)::integer)::inet,
    'python-httpx/0.28',
    CASE WHEN r5 < 0.6 THEN 'tool_' || floor(r2 ^ 3 * 40)::integer END,
    CASE WHEN r5 < 0.6 THEN md5('invocation' || n / 3)::uuid END,
    CASE WHEN r5 < 0.6 THEN 'exact' END,
    md5(n::text),
    'sidecar-' || n % 2
FROM (
    SELECT n, $1::timestamptz + n * ($2::interval / $3::double precision) AS at,
        least(39, floor(-ln(1 - random()) * 6))::integer AS token,
        random() AS r1, random() AS r2, random() AS r3, random() AS r4, random() AS r5
    FROM generate_series($4::bigint, $5::bigint) AS n
) AS call
"""
# A tool call for each that the records name, about 40 in a session.
_FILL_TOOL_CALLS: Final = """
INSERT INTO mcp_tool_invocation (
    id, token_id, token_name, tool, created_at, duration_ms, outcome, status_code, api_calls,
    origin, client_ip, instance, session, client_name)
SELECT invocation_id, min(token_id::text)::uuid, min(token_name), min(tool), min(created_at),
    sum(duration_ms), 'ok', 200, count(*), 'mcp', min(client_ip), min(instance),
    md5(min(token_name) || date_trunc('hour', min(created_at)))::uuid,
    'agent-' || length(min(token_name)) % 3
FROM mcp_audit_log WHERE invocation_id IS NOT NULL
GROUP BY invocation_id
ORDER BY min(created_at)
"""
_TRIGGERS_OFF: Final = "ALTER TABLE mcp_tool_invocation DISABLE TRIGGER USER"
_TRIGGERS_ON: Final = """
ALTER TABLE mcp_tool_invocation
    ENABLE TRIGGER mcp_tool_invocation_goes_on,
    ENABLE ALWAYS TRIGGER mcp_tool_invocation_appended
"""
# All but those of the primary keys. To make them afterwards takes a third of the time.
_INDEXES: Final = """
SELECT indexname AS name, replace(indexdef, 'ON ONLY', 'ON') AS definition FROM pg_indexes
WHERE schemaname = current_schema() AND tablename IN ('mcp_audit_log', 'mcp_tool_invocation')
    AND indexname NOT LIKE '%\\_pkey'
"""


def id_of(name: str) -> UUID:
    """Return the id that the log has for *name*, as of a token."""
    return UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())


async def fill(database: Database, rows: int) -> float:
    """Make the schema, *rows* records and their tool calls; return how many seconds that took."""
    began = time.monotonic()
    await migrate(database)
    await ensure_partitions(database, STARTED)
    indexes = await database.fetch(_INDEXES)
    for index in indexes:
        await database.execute(f"DROP INDEX {index['name']}")
    for first in range(1, rows + 1, _PORTION):
        last = min(rows, first + _PORTION - 1)
        async with database.transaction(statement_seconds=600) as transaction:
            await transaction.execute("SELECT setseed($1)", first / (rows + 1))
            await transaction.execute(_FILL, STARTED, ENDED - STARTED, float(rows), first, last)
    async with database.transaction(statement_seconds=600) as transaction:
        await transaction.execute("SET LOCAL work_mem TO '512MB'")
        await transaction.execute(_TRIGGERS_OFF)
        await transaction.execute(_FILL_TOOL_CALLS)
        await transaction.execute(_TRIGGERS_ON)
    async with database.transaction(statement_seconds=600) as transaction:
        for index in indexes:
            await transaction.execute(index["definition"])
        await transaction.execute("ANALYZE mcp_audit_log, mcp_tool_invocation")
    return time.monotonic() - began
