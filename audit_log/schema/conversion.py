"""An adopted table becomes a partitioned one while it is written and read.

A copy grows beside it in batches; a trigger repeats every change on the copy, so a kill at any
moment leaves both as they should be, and the next run goes on (migration 0009).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Final

from audit_log.errors import SchemaError, StoreUnavailableError
from audit_log.postgres.database import Database

BATCH_RECORDS: Final = 5_000
_COMPARE_SECONDS: Final = 600.0

_STAGE: Final = """
SELECT EXISTS (SELECT FROM pg_class WHERE oid = 'mcp_audit_log'::regclass AND relkind = 'p')
        AS is_partitioned,
    to_regclass('mcp_audit_log_adopted') IS NOT NULL AS has_old_table,
    EXISTS (SELECT FROM mcp_audit_conversion) AS has_begun
"""
# What follows a table by its identity would stay with the old one.
_FOLLOWERS: Final = """
SELECT DISTINCT 'view ' || ev_class::regclass AS name
FROM pg_depend JOIN pg_rewrite ON objid = pg_rewrite.oid AND classid = 'pg_rewrite'::regclass
WHERE refobjid = 'mcp_audit_log'::regclass AND ev_class <> refobjid
UNION ALL
SELECT 'rule ' || rulename FROM pg_rewrite WHERE ev_class = 'mcp_audit_log'::regclass
UNION ALL
SELECT 'foreign key ' || conname || ' of ' || conrelid::regclass
FROM pg_constraint
WHERE contype = 'f' AND 'mcp_audit_log'::regclass IN (confrelid, conrelid)
UNION ALL
SELECT 'row level security' FROM pg_class
WHERE oid = 'mcp_audit_log'::regclass AND relrowsecurity
UNION ALL
SELECT 'policy ' || polname FROM pg_policy WHERE polrelid = 'mcp_audit_log'::regclass
UNION ALL
SELECT 'membership in publication ' || pubname
FROM pg_publication_rel JOIN pg_publication ON pg_publication.oid = prpubid
WHERE prrelid = 'mcp_audit_log'::regclass
UNION ALL
SELECT 'grants on column ' || attname FROM pg_attribute
WHERE attrelid = 'mcp_audit_log'::regclass AND attacl IS NOT NULL
UNION ALL
SELECT 'identity of column ' || attname FROM pg_attribute
WHERE attrelid = 'mcp_audit_log'::regclass AND attidentity <> ''
UNION ALL
SELECT 'trigger ' || tgname FROM pg_trigger
WHERE tgrelid = 'mcp_audit_log'::regclass AND NOT tgisinternal
    AND tgname <> 'mcp_audit_log_convert'
"""
_PROGRESS: Final = """
SELECT copied, nullif(created_at, '-infinity') AS up_to FROM mcp_audit_conversion
"""
_MONTHS: Final = """
WITH RECURSIVE used AS (
    SELECT date_trunc('month', min(created_at), 'UTC') AS month FROM {table}
    UNION ALL
    SELECT (SELECT date_trunc('month', min(created_at), 'UTC') FROM {table}
            WHERE created_at >= used.month + interval '1 month')
    FROM used WHERE isfinite(used.month)
)
SELECT month AS starts, month + interval '1 month' AS ends FROM used WHERE month IS NOT NULL
"""
_COMPARE: Final = """
WITH old AS (SELECT {columns} FROM {old} WHERE created_at >= $1 AND created_at < $2),
    new AS (SELECT {columns} FROM {new} WHERE created_at >= $1 AND created_at < $2)
SELECT (SELECT count(*) FROM old) AS records,
    (SELECT count(*) FROM new) AS copies,
    (SELECT count(*) FROM (SELECT * FROM old EXCEPT SELECT * FROM new) AS missing) AS missing
"""


class Stage(Enum):
    """How far a conversion has come."""

    NOT_BEGUN = auto()
    COPYING = auto()
    SWITCHED = auto()
    """The log is partitioned, and the old table is still there."""
    DONE = auto()
    """The log is partitioned, and there is nothing else."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the copying has come."""

    copied: int
    up_to: datetime | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One month of the old table, held against the new one."""

    month: datetime
    records: int
    """In the old table."""
    copies: int
    """In the new one, which after the switch may have more."""
    missing: int
    """How many of `records` are not in the new table exactly as they were."""


class Conversion:
    """The steps, in order: `begin`, `copy` until it says 0, `compare`, `switch`, `drop_old`.

    Each may be repeated. Those that need a lock raise `StoreUnavailableError` rather than make
    others wait for long: try again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stage(self) -> Stage:
        """Say how far it has come."""
        row = await self._row(_STAGE)
        if row["is_partitioned"]:
            return Stage.SWITCHED if row["has_old_table"] else Stage.DONE
        return Stage.COPYING if row["has_begun"] else Stage.NOT_BEGUN

    async def begin(self) -> None:
        """Make the copy, empty, and the trigger that keeps it up to date from now on."""
        followers = [row["name"] for row in await self._database.fetch(_FOLLOWERS)]
        if followers:
            raise SchemaError(
                f"these would stay with the old table: {', '.join(followers)}; "
                "drop them, and make them again after the conversion"
            )
        await self._database.execute("SELECT mcp_audit_convert_begin()")

    async def copy(self) -> int:
        """Copy the next batch; return how many records were in it."""
        row = await self._row("SELECT mcp_audit_convert_batch($1) AS records", BATCH_RECORDS)
        return int(row["records"])

    async def progress(self) -> Progress:
        """Return how far the copying has come."""
        return Progress(**dict(await self._row(_PROGRESS)))

    async def compare(self, since: datetime | None = None) -> AsyncIterator[Comparison]:
        """Yield each month of the old table held against the new one, from *since* on."""
        is_switched = await self.stage() is Stage.SWITCHED
        old, new = ("mcp_audit_log", "mcp_audit_log_converted")
        if is_switched:
            old, new = "mcp_audit_log_adopted", "mcp_audit_log"
        columns = (await self._row("SELECT columns FROM mcp_audit_conversion"))["columns"]
        sql = _COMPARE.format(columns=columns, old=old, new=new)
        for month in await self._database.fetch(_MONTHS.format(table=old)):
            starts, ends = month["starts"], month["ends"]
            if since is not None and ends <= since:
                continue
            # Both as of one moment: the statement has one snapshot.
            async with self._database.transaction(statement_seconds=_COMPARE_SECONDS) as opened:
                row = await opened.fetch_row(sql, max(starts, since or starts), ends)
            if row is not None:
                yield Comparison(starts.astimezone(UTC), **dict(row))

    async def switch(self) -> None:
        """Let the copy take the table's name; the old one is kept as `mcp_audit_log_adopted`."""
        if await self.stage() is Stage.SWITCHED:
            return  # the answer was lost, and the caller tries again
        await self._database.execute("SELECT mcp_audit_convert_switch()")

    async def drop_old(self) -> None:
        """Drop the old table."""
        async with self._database.transaction() as transaction:
            await transaction.execute("DROP TABLE mcp_audit_log_adopted")
            await transaction.execute("DELETE FROM mcp_audit_conversion")

    async def _row(self, sql: str, *arguments: object) -> dict[str, Any]:
        row = await self._database.fetch_row(sql, *arguments)
        if row is None:
            raise StoreUnavailableError("the conversion has lost its row: run it again")
        return dict(row)
