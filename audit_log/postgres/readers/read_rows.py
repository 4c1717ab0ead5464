"""Rows of `mcp_audit_read`: appended, and searched."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit_log.addresses import Network
from audit_log.postgres.conditions import Arguments, like
from audit_log.postgres.database import Database
from audit_log.postgres.rows import Place, in_words_of, plain_uuid
from audit_log.postgres.transaction import Row, Transaction
from audit_log.reads import Read, ReadKind

# Without a conflict target: the role then needs INSERT alone. An id is given before the first try.
_APPEND: Final = """
INSERT INTO mcp_audit_read (id, created_at, kind, reader, role, token_id, session, client_ip,
    question, status_code, rows_told, times, began, instance, seq, log)
SELECT id, created_at, kind, reader, role, token_id, session, client_ip::inet, question,
    status_code, rows_told, times, began, instance, seq, log
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::uuid[],
    $7::text[], $8::text[], $9::text[], $10::smallint[], $11::bigint[], $12::bigint[], $13::uuid[],
    $14::text[], $15::bigint[], $16::integer[]) AS given (id, created_at, kind, reader, role,
    token_id, session, client_ip, question, status_code, rows_told, times, began, instance, seq,
    log)
ON CONFLICT DO NOTHING
"""
_SEARCH: Final = """
SELECT read.id, read.created_at, read.kind, read.reader, read.role, read.token_id, read.session,
    host(read.client_ip) AS client_ip, read.question, read.times, read.instance, read.began,
    coalesce(ended.status_code, read.status_code) AS status_code,
    coalesce(ended.rows_told, read.rows_told) AS rows_told, ended.created_at AS ended_at
FROM mcp_audit_read AS read
LEFT JOIN LATERAL (
    SELECT created_at, status_code, rows_told FROM mcp_audit_read WHERE began = read.id LIMIT 1
) AS ended ON true
WHERE {conditions}
ORDER BY read.created_at DESC, read.id DESC
LIMIT {limit}
"""
_RIGHT: Final = """
SELECT to_regclass('mcp_audit_read') IS NOT NULL AS is_there,
    has_table_privilege(to_regclass('mcp_audit_read'), 'INSERT') AS may_insert
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadQuery:
    """Selects reads: all conditions that are given must hold."""

    limit: int
    since: datetime | None = None
    until: datetime | None = None
    readers: tuple[str, ...] = ()
    kinds: tuple[ReadKind, ...] = ()
    networks: tuple[Network, ...] = ()
    session: str | None = None
    question: str | None = None
    """A prefix, or with `*` a pattern for all of it."""
    before: Place | None = None


async def append_reads(database: Database | Transaction, reads: Sequence[Read]) -> None:
    """Store *reads*; safe to repeat. Raises StoreError."""
    await database.execute(
        _APPEND,
        *(
            [getattr(read, name) for read in reads]
            for name in (
                *("id", "created_at", "kind", "reader", "role", "token_id", "session"),
                *("client_ip", "question", "status_code", "rows_told", "times", "began"),
                *("instance", "seq", "log"),
            )
        ),
    )


async def search_reads(database: Database, query: ReadQuery) -> list[Read]:
    """Return the reads that match *query*, newest first, each with its end. Raises StoreError."""
    arguments = Arguments()
    conditions = " AND ".join(["read.began IS NULL", *_conditions(query, arguments)])
    sql = _SEARCH.format(conditions=conditions, limit=arguments.add(query.limit))
    return [_read(row) for row in await database.fetch(sql, *arguments)]


async def may_append_reads(database: Database) -> str | None:
    """Return why no read can be stored in *database*, or None. Raises StoreError."""
    row = await database.fetch_row(_RIGHT)
    if row is None or not row["is_there"]:
        return None  # the schema is out of date, which is told elsewhere
    if row["may_insert"]:
        return None
    return (
        "reads cannot be recorded: the role may not INSERT into mcp_audit_read:"
        " run deploy/roles.sql again (it belongs after each migrate)"
    )


def _conditions(query: ReadQuery, arguments: Arguments) -> list[str]:
    given = (
        (query.since, "read.created_at >= {}::timestamptz"),
        (query.until, "read.created_at < {}::timestamptz"),
        (list(query.readers) or None, "read.reader = ANY({}::text[])"),
        (list(query.kinds) or None, "read.kind = ANY({}::text[])"),
        (list(query.networks) or None, "read.client_ip <<= ANY({}::cidr[])"),
        (query.session, "read.session = {}::text"),
        (query.question and like(query.question), "read.question LIKE {}::text"),
    )
    conditions = [text.format(arguments.add(value)) for value, text in given if value is not None]
    if query.before is not None:
        created_at, id_ = map(arguments.add, query.before)
        conditions.append(f"(read.created_at, read.id) < ({created_at}::timestamptz, {id_}::uuid)")
    return conditions


def _read(row: Row) -> Read:
    return Read(
        id=plain_uuid(row["id"]),
        created_at=row["created_at"],
        kind=in_words_of(ReadKind, row["kind"]),
        question=row["question"],
        instance=row["instance"],
        reader=row["reader"],
        role=row["role"],
        token_id=row["token_id"] and plain_uuid(row["token_id"]),
        session=row["session"],
        client_ip=row["client_ip"],
        status_code=row["status_code"],
        rows_told=row["rows_told"],
        times=row["times"],
        ended_at=row["ended_at"],
    )
