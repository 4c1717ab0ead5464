"""A PostgreSQL whose clock differs from the sidecar's."""

from datetime import timedelta

from audit_log.postgres.database import Database

_SHIFTED = """
CREATE SCHEMA IF NOT EXISTS shifted;
CREATE OR REPLACE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql
    RETURN pg_catalog.clock_timestamp() + interval '%f seconds';
"""
_FIRST = """
SELECT format('ALTER DATABASE %I SET search_path = shifted, pg_catalog, public',
    current_database()) AS statement
"""


async def shift_clock(database: Database, by: timedelta) -> None:
    """Put the clock of *database* that much ahead, for sessions that begin from now on."""
    await database.execute(_SHIFTED % by.total_seconds())
    [row] = await database.fetch(_FIRST)
    await database.execute(row["statement"])
