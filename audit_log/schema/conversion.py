"""Converts an adopted table into a partitioned one while it is written and read.

Theory of operation (the SQL is migration 0009). The conversion has four steps:

1. `begin` makes an empty partitioned copy, and a trigger that repeats every change of the old
   table on the copy in the same transaction. From here on new records are in both.
2. `copy` copies the old records in batches, in the order of the log. The row in
   `mcp_audit_conversion` says how far it has come and is updated in the transaction of the batch.
3. `switch` gives the copy the table's name and keeps the old table as `mcp_audit_log_adopted`.
   Readers and writers wait for this, for as long as renaming takes.
4. `drop_old` drops the old table, after `compare` has found every record in the new one.

Each step is a transaction, so after a kill at any moment both tables are consistent and the next
run goes on. What PostgreSQL attaches to a table's identity (views, foreign keys, policies, …)
would stay with the old table, so `begin` refuses to start while there is any (`followers.py`).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Final

from audit_log.errors import StoreUnavailableError
from audit_log.postgres.database import Database
from audit_log.schema.followers import require_no_followers

BATCH_RECORDS: Final = 5_000
_COMPARE_SECONDS: Final = 600.0

_STAGE: Final = """
SELECT EXISTS (SELECT FROM pg_class WHERE oid = 'mcp_audit_log'::regclass AND relkind = 'p')
        AS is_partitioned,
    to_regclass('mcp_audit_log_adopted') IS NOT NULL AS has_old_table,
    EXISTS (SELECT FROM mcp_audit_conversion) AS has_begun
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
    """The log is partitioned, and there is no old table."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the copying has come: the records copied, and the time of the last one."""

    copied: int
    up_to: datetime | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of one month of the old table with the new one."""

    month: datetime
    records: int
    """In the old table."""
    copies: int
    """In the new one, which may have more after the switch."""
    missing: int
    """How many of `records` are not in the new table, or differ there."""


class Conversion:
    """The steps, in order: `begin`, `copy` until it returns 0, `compare`, `switch`, `drop_old`.

    Each may be repeated. A step that cannot get a lock in time raises `StoreUnavailableError`
    instead of making other sessions wait; try again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stage(self) -> Stage:
        """Return how far the conversion has come."""
        row = await self._row(_STAGE)
        if row["is_partitioned"]:
            return Stage.SWITCHED if row["has_old_table"] else Stage.DONE
        return Stage.COPYING if row["has_begun"] else Stage.NOT_BEGUN

    async def begin(self) -> None:
        """Make the empty copy, and the trigger that keeps it up to date from now on.

        Raises `SchemaError` if something depends on the old table's identity.
        """
        await require_no_followers(self._database)
        await self._database.execute("SELECT mcp_audit_convert_begin()")

    async def copy(self) -> int:
        """Copy the next batch; return how many records were in it."""
        row = await self._row("SELECT mcp_audit_convert_batch($1) AS records", BATCH_RECORDS)
        return int(row["records"])

    async def progress(self) -> Progress:
        """Return how far the copying has come."""
        return Progress(**dict(await self._row(_PROGRESS)))

    async def compare(self, since: datetime | None = None) -> AsyncIterator[Comparison]:
        """Compare each month of the old table with the new one, from *since* on."""
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
            # One statement reads both tables, so both are seen in one snapshot.
            async with self._database.transaction(statement_seconds=_COMPARE_SECONDS) as opened:
                row = await opened.fetch_row(sql, max(starts, since or starts), ends)
            if row is not None:
                yield Comparison(starts.astimezone(UTC), **dict(row))

    async def switch(self) -> None:
        """Give the copy the table's name; the old table is kept as `mcp_audit_log_adopted`."""
        if await self.stage() is Stage.SWITCHED:
            return  # a repeated call: the reply to the first one was lost
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
