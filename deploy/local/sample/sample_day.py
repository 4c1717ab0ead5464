"""`make run SAMPLE=day`: a made-up day in the log, and a few real calls of now."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from audit_log.postgres.database import Database, open_database
from audit_log.postgres.store import Store
from deploy.local.demo_tokens import DemoToken
from deploy.local.sample.cast import INSTANCE
from deploy.local.sample.plot import day_before
from deploy.local.sample.real_calls import make_real_calls

_NEWEST: Final = """
SELECT max(created_at) FROM mcp_audit_log
WHERE instance = $1 AND created_at > now() - interval '1 day'
"""


async def sample_day(database_url: str, proxy: str, tokens: Mapping[str, DemoToken]) -> str:
    """Write a day, unless the log has one of today, and call through *proxy*; say what was done.

    A sidecar dates what it records itself, so nothing of the past can come through it, and what
    is made up is not sealed. Raises StoreError if the database is away.
    """
    async with open_database(database_url, application="podwarden-local") as database:
        told = await _write(database)
    real = await make_real_calls(proxy, tokens) if tokens else 0
    return (
        f"{told}\nIt did not pass through the sidecar, which dates what it records by its own"
        f" clock: its instance is {INSTANCE},\nand `podwarden-audit verify` counts its entries as"
        f" not sealed. {real} calls of just now did, and are sealed."
    )


async def _write(database: Database) -> str:
    row = await database.fetch_row(_NEWEST, INSTANCE)
    if row is not None and row[0] is not None:
        return f"The log has a sample day already, up to {row[0].astimezone():%H:%M}."
    day, store = day_before(datetime.now(UTC)), Store(database)
    await store.append_invocations(day.tool_calls)
    await store.append_gaps(day.gaps)
    await store.append(day.entries)
    return (
        f"A sample day was made up: {len(day.entries)} entries, {len(day.tool_calls)} tool calls"
        f" and {len(day.gaps)} gaps of the last 24 hours."
    )
