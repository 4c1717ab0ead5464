"""Logical replication of the audit log between two real PostgreSQL servers."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

import asyncpg

ALL_COLUMNS: Final = ""
VIA_THE_ROOT: Final = "publish = 'insert', publish_via_partition_root = true"
_COLUMNS: Final = """
SELECT '(' || string_agg(quote_ident(attname), ', ') || ')' FROM pg_attribute
WHERE attrelid = 'mcp_audit_log'::regclass AND attnum > 0 AND NOT attisdropped
    AND attname <> 'appended_in'
"""
_SPEND: Final = """
DO $$ BEGIN
    FOR number IN 1..{count} LOOP
        PERFORM pg_current_xact_id();
        COMMIT;
    END LOOP;
END $$
"""


async def put_ahead(url: str, other: str) -> None:
    """Let the server of *url* number its transactions from well beyond those of *other*."""
    gap = await next_transaction(other) - await next_transaction(url)
    await run(url, _SPEND.format(count=max(gap, 0) + 3_000))


async def next_transaction(url: str) -> int:
    """Return the number of the next transaction of the server of *url*."""
    return int(await _value(url, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"))


async def run(url: str, sql: str) -> None:
    """Run *sql* in a session of its own, outside of any transaction."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def all_but_appended_in(url: str) -> str:
    """Return the list of columns that docs/deploy.md publishes."""
    return await _value(url, _COLUMNS)


async def _value(url: str, sql: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(sql))
    finally:
        await connection.close()


@asynccontextmanager
async def subscribed(
    publisher_url: str, subscriber_url: str, columns: str, options: str = VIA_THE_ROOT
) -> AsyncIterator[str]:
    """Publish *columns* of the audit log with *options*, and subscribe to it; yield the name."""
    name = f"audit_{uuid.uuid4().hex}"
    publisher = urlsplit(publisher_url)
    conninfo = (
        f"host={unquote(publisher.netloc.rpartition('@')[2])} dbname={publisher.path[1:]}"
        f" user={publisher.username} password={publisher.password}"
    )
    await run(
        publisher_url,
        f"CREATE PUBLICATION {name} FOR TABLE mcp_audit_log {columns} WITH ({options})",
    )
    await run(
        subscriber_url, f"CREATE SUBSCRIPTION {name} CONNECTION '{conninfo}' PUBLICATION {name}"
    )
    try:
        yield name
    finally:
        await run(subscriber_url, f"DROP SUBSCRIPTION {name}")
