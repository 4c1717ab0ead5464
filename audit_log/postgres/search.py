"""Searches for records: many by a query, one by its id."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from audit_log.filters import EVERYTHING, RecordFilter, TimeFilter, one_of
from audit_log.patterns import WILDCARD
from audit_log.postgres.conditions import Arguments, conditions_of
from audit_log.postgres.database import Database
from audit_log.postgres.reading.sources import RECORDS, Source, Told
from audit_log.postgres.rows import RECORD_COLUMNS, Place, plain_uuid, records_of
from audit_log.postgres.transaction import Row, Transaction
from audit_log.record import AuditRecord

DEFAULT_LIMIT: Final = 100
_UUID_VERSION_WITH_TIME: Final = 7
_NEAR: Final = timedelta(seconds=10)

# No statement is prepared, so each is planned with its values: a rare value uses its index.
_SEARCH: Final = """
SELECT {columns} FROM mcp_audit_log
WHERE {conditions}
ORDER BY created_at DESC, id DESC
LIMIT {limit}
"""
# To read a row by an index is nearly as fast as to read on in the table, and to read entries of an
# index costs more than PostgreSQL takes it to: with its own figures of 4 and 0.005 the planner
# reads a million entries to save reading a thousand rows.
COSTS: Final = "SET LOCAL random_page_cost TO 1.1; SET LOCAL cpu_index_tuple_cost TO 0.02"
"""For a transaction that looks for a page of calls."""
FEW: Final = 5_000
"""So few records are read and sorted in 20 ms; of more, the newest are soon found by time."""
# What begins with a prefix is guessed by the planner from a hundred values: one in 10,000 records
# may look to it like one in 100, and then it reads the log by time until it has found enough. So
# they are counted by the index first. OFFSET 0 has the few read before they are sorted.
_FEW: Final = """
SELECT {columns} FROM (
    SELECT * FROM mcp_audit_log
    WHERE {conditions}
    OFFSET 0
) AS few
ORDER BY created_at DESC, id DESC
LIMIT {limit}
"""
_COUNT: Final = """
SELECT count(*) AS records
FROM (SELECT FROM {table} WHERE {conditions} LIMIT {limit}) AS counted
"""
_PLACE_AFTER: Final = """
SELECT created_at, id FROM {table}
WHERE {conditions}
ORDER BY created_at, id
LIMIT 1 OFFSET {number}
"""
_FIND: Final = """
SELECT {columns} FROM mcp_audit_log
WHERE id = $1 AND ($2::timestamptz IS NULL OR created_at BETWEEN $2 AND $3::timestamptz)
LIMIT 1
"""
_CALLS: Final = """
SELECT {columns} FROM mcp_audit_log
WHERE invocation_id = $1
ORDER BY created_at, id
LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Selects records, and says how many at most."""

    limit: int = DEFAULT_LIMIT
    filter: RecordFilter = EVERYTHING
    before: Place | None = None
    """Only records after this place, in the order of newest first."""


async def search(database: Database, query: RecordQuery) -> list[AuditRecord]:
    """Return the newest records that match *query*, newest first."""
    async with database.transaction() as transaction:
        await transaction.execute(COSTS)
        template = _FEW if await _are_few(transaction, query.filter) else _SEARCH
        sql, arguments = search_statement(query, template)
        return records_of(await transaction.fetch(sql, *arguments))


def search_statement(query: RecordQuery, template: str = _SEARCH) -> tuple[str, Arguments]:
    """Return the SQL for *query*, and its values."""
    arguments = Arguments()
    conditions = conditions_of(query.filter, arguments)
    if query.before is not None:
        conditions.append(query.before.condition("<", arguments))
    sql = template.format(
        columns=RECORD_COLUMNS,
        conditions=" AND ".join(conditions) or "true",
        limit=arguments.add(query.limit),
    )
    return sql, arguments


async def _are_few(transaction: Transaction, wanted: RecordFilter) -> bool:
    """Say whether few records, of whatever time, have a path or a user agent that is *wanted*."""
    for beginning in (
        RecordFilter(path=one_of(*wanted.path.any_of)),
        RecordFilter(user_agent=one_of(*wanted.user_agent.any_of)),
    ):
        arguments = Arguments()
        conditions = conditions_of(beginning, arguments)
        patterns = (*beginning.path.any_of, *beginning.user_agent.any_of)
        if not patterns or any(WILDCARD in pattern for pattern in patterns):
            continue
        sql = _COUNT.format(
            table=RECORDS.table,
            conditions=" AND ".join(conditions),
            limit=arguments.add(FEW),
        )
        row = await transaction.fetch_row(sql, *arguments)
        if row is not None and row["records"] < FEW:
            return True
    return False


async def count_from(
    database: Database, source: Source[Told], wanted: TimeFilter, moment: datetime, limit: int
) -> int:
    """Return how many rows match *wanted* from *moment* on, instead of its own `since`.

    No more than *limit* are counted.
    """
    arguments = Arguments()
    conditions = conditions_of(replace(wanted, since=moment), arguments)
    sql = _COUNT.format(
        table=source.table,
        conditions=" AND ".join(conditions),
        limit=arguments.add(limit),
    )
    row = await database.fetch_row(sql, *arguments)
    return 0 if row is None else int(row["records"])


async def place_after(
    database: Database, source: Source[Told], wanted: TimeFilter, place: Place, number: int
) -> Place | None:
    """Return the place of the first that matches *wanted* beyond the next *number* after *place*.

    None if there are no more than these.
    """
    arguments = Arguments()
    conditions = [*conditions_of(wanted, arguments), place.condition(">", arguments)]
    sql = _PLACE_AFTER.format(
        table=source.table, conditions=" AND ".join(conditions), number=arguments.add(number)
    )
    row = await database.fetch_row(sql, *arguments)
    return None if row is None else Place(row["created_at"], plain_uuid(row["id"]))


async def find(database: Database, record_id: UUID) -> AuditRecord | None:
    """Return the record with *record_id*, or None; see `find_row`."""
    row = await find_row(database, RECORD_COLUMNS, record_id)
    return None if row is None else records_of([row])[0]


async def find_row(database: Database, columns: str, record_id: UUID) -> Row | None:
    """Return these *columns* of the record with *record_id*, or None.

    There is no index for this. Our ids are UUIDv7, which contain the time at which they were made,
    and the log is indexed by time. Any other id, or a clock that jumped, costs a full scan.
    """
    sql = _FIND.format(columns=columns)
    made_at = _made_at(record_id)
    if made_at is not None:
        near = await database.fetch_row(sql, record_id, made_at - _NEAR, made_at + _NEAR)
        if near is not None:
            return near
    return await database.fetch_row(sql, record_id, None, None)


async def calls_of(database: Database, invocation_id: UUID, limit: int) -> list[AuditRecord]:
    """Return the API calls of one tool call, oldest first."""
    sql = _CALLS.format(columns=RECORD_COLUMNS)
    return records_of(await database.fetch(sql, invocation_id, limit))


def _made_at(record_id: UUID) -> datetime | None:
    # RFC 9562, section 5.7: the first 48 bits are milliseconds since the epoch.
    if record_id.version != _UUID_VERSION_WITH_TIME:
        return None
    try:
        return datetime.fromtimestamp((record_id.int >> 80) / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
