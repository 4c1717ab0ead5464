"""The schema: numbered SQL files, each applied once, in order."""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Final, TypeVar

from audit_log.errors import DeadlockError, LockTimeoutError, RecordRefusedError, SchemaError
from audit_log.postgres.database import Database
from audit_log.postgres.transaction import Transaction
from audit_log.schema.adoption import Column, UniqueKey, obstacles, to_widen

MONTHS_AHEAD: Final = 3
_MIGRATION_SECONDS: Final = 3_600.0  # creating an index on a large adopted table takes long
_MIGRATION_TRIES: Final = 100
_PARTITION_TRIES: Final = 15
_PAUSE_SECONDS: Final = 0.3
"""About this long others have their turn before a lock is asked for again."""
_BUSY: Final = (
    "another session uses the audit log (an export, a backup?), and waiting for it would hold up "
    "all others; try again when it has ended"
)
# Not before the lock among migrators, for which the second one waits as long as it takes.
_LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '300ms'"
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('mcp_audit_schema'))"
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS mcp_audit_schema (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


_MOVE: Final = "SELECT copied, total FROM mcp_audit_move"
_PARTITIONS: Final = """
SELECT count(*) AS partitions FROM pg_inherits WHERE inhparent = to_regclass('mcp_audit_log')::oid
"""
_UNIQUE_KEYS: Final = """
SELECT quote_ident(relname) AS name, conname IS NOT NULL AS is_constraint,
    ARRAY(SELECT attname FROM unnest(indkey) AS number
          LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number) AS columns
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
LEFT JOIN pg_constraint ON conindid = indexrelid AND contype IN ('p', 'u', 'x')
WHERE indrelid = to_regclass('mcp_audit_log') AND (indisunique OR indisexclusion)
ORDER BY relname
"""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Move:
    """How far records have been moved out of the default partition: see migration 0011."""

    copied: int
    total: int
    """As the planner estimated when the move began."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Hex SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return the migrations of this version, in order."""
    files = resources.files("audit_log.schema").joinpath("migrations").iterdir()
    found = [Migration(file.name, file.read_text()) for file in files if file.name[-4:] == ".sql"]
    return sorted(found, key=lambda migration: migration.name)


def pending(known: Sequence[Migration], applied: Mapping[str, str]) -> list[Migration]:
    """Return those of *known* that are not in *applied*, a mapping of names to checksums.

    Raises `SchemaError` if the text of an applied migration has changed since: then it is unknown
    what the database holds. Migrations applied by a newer version are ignored.
    """
    for migration in known:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise SchemaError(
                f"migration {migration.name} was changed after it had been applied; "
                "restore the file, and put the change into a new one"
            )
    return [migration for migration in known if migration.name not in applied]


async def migrate(database: Database) -> list[str]:
    """Bring the schema up to date; return the names of the migrations applied.

    All or none are applied, by one migrator at a time; services may be running. Raises
    `SchemaError` if an existing table cannot be adopted, and `LockTimeoutError` if another session
    uses the audit log all the time.
    """
    return await _retried(lambda: _migrate(database), _MIGRATION_TRIES)


async def _migrate(database: Database) -> list[str]:
    async with database.transaction(statement_seconds=_MIGRATION_SECONDS) as transaction:
        await transaction.execute(_LOCK)
        await transaction.execute(_TABLE)
        todo = pending(migrations(), await _applied(transaction))
        if todo:
            await transaction.execute(_LOCK_TIMEOUT)
            await _prepare_adoption(transaction)
        for migration in todo:
            await _apply(transaction, migration)
    return [migration.name for migration in todo]


async def is_current(database: Database) -> bool:
    """Say whether all migrations of this version have been applied."""
    async with database.transaction() as transaction:
        row = await transaction.fetch_row("SELECT to_regclass('mcp_audit_schema') IS NOT NULL")
        applied = await _applied(transaction) if row and row[0] else {}
    return all(migration.name in applied for migration in migrations())


async def ensure_partitions(database: Database, now: datetime) -> Move | None:
    """Make the missing partitions for the month of *now* and the next three.

    Six are made at once (migration 0014), again and again until none is missing. Does nothing to
    an adopted table, which has no partitions. If many records of those months are in the default
    partition, this takes one step of moving them: then the move is returned, and further calls go
    on with it. Raises `LockTimeoutError` if a lock cannot be had.
    """
    makes_some = True
    while makes_some:
        before = await database.fetch_row(_PARTITIONS)
        await _retried(
            lambda: database.execute(
                "SELECT mcp_audit_log_ensure_partitions($1, $2)", now, MONTHS_AHEAD
            ),
            _PARTITION_TRIES,
        )
        row = await database.fetch_row(_MOVE)
        if row is not None:
            return Move(**dict(row))
        makes_some = await database.fetch_row(_PARTITIONS) != before
    return None


async def _retried(step: Callable[[], Awaitable[Result]], tries: int) -> Result:
    """Do *step*; retry while another session holds a lock that it needs.

    A query that reads a partition and then the table locks them in the opposite order to ours, so
    a deadlock is one of the ways to find a lock held.
    """
    for _ in range(tries - 1):
        try:
            return await step()
        except (DeadlockError, LockTimeoutError):
            await asyncio.sleep(_PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
    try:
        return await step()
    except LockTimeoutError as error:
        raise LockTimeoutError(f"{error}: {_BUSY}") from error


async def _applied(transaction: Transaction) -> dict[str, str]:
    rows = await transaction.fetch("SELECT name, checksum FROM mcp_audit_schema")
    return {row["name"]: row["checksum"] for row in rows}


async def _apply(transaction: Transaction, migration: Migration) -> None:
    try:
        await transaction.execute(migration.sql)
    except RecordRefusedError as error:
        raise SchemaError(f"migration {migration.name}: {error}") from error
    await transaction.execute(
        "INSERT INTO mcp_audit_schema (name, checksum) VALUES ($1, $2)",
        migration.name,
        migration.checksum,
    )


async def _prepare_adoption(transaction: Transaction) -> None:
    rows = await transaction.fetch(
        """
        SELECT attname AS name,
               format_type(atttypid, NULL) AS type,
               attnotnull AND NOT atthasdef AND attidentity = '' AS must_be_given,
               CASE WHEN atttypid = 'varchar'::regtype AND atttypmod > 4
                    THEN atttypmod - 4 END AS max_characters,
               atttypid = 'timestamptz'::regtype AND atttypmod BETWEEN 0 AND 5 AS is_rounded,
               (SELECT quote_ident(conname) FROM pg_constraint
                WHERE conrelid = attrelid AND contype = 'f' AND attnum = ANY (conkey)
                LIMIT 1) AS references
        FROM pg_attribute
        WHERE attrelid = to_regclass('mcp_audit_log') AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum
        """
    )
    columns = [Column(**row) for row in rows]
    keys = [UniqueKey(**row) for row in await transaction.fetch(_UNIQUE_KEYS)]
    found = obstacles(columns, keys) if columns else []
    if found:
        raise SchemaError("mcp_audit_log cannot be adopted: " + " ".join(found))
    for name, type_ in to_widen(columns).items():
        # PostgreSQL rewrites no table for that.
        await transaction.execute(f"ALTER TABLE mcp_audit_log ALTER COLUMN {name} TYPE {type_}")
