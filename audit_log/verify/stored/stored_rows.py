"""Reads sealed rows, and makes their leaves anew. What is read is not trusted.

A value that no row of ours can have, such as an infinite time, is read as another such value: the
leaf is then not the sealed one.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from audit_log.postgres.transaction import Row, Transaction
from audit_log.reads import Read
from audit_log.record import Gap, Invocation, RecordRow
from audit_log.seal.leaf import entry_leaves, gap_leaf, read_leaf, tool_call_leaf

BATCH: Final = 4_000
_LAST_SECOND: Final = 0xFFFFFFFF
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = (
    "greatest('0001-01-02Z'::timestamptz, least('9999-12-30Z'::timestamptz, {0})) AS {0}"
)
# NaN is greater than all others.
_DURATION: Final = (
    "CASE WHEN duration_ms > '-Infinity' AND duration_ms < 'Infinity' THEN duration_ms"
    " WHEN duration_ms IS NOT NULL THEN -1 END AS duration_ms"
)
# A network mask is a part of the value: host() would hide it.
_ADDRESS: Final = "abbrev(client_ip) AS client_ip"


class Table(StrEnum):
    """The tables with sealed rows."""

    ENTRIES = "mcp_audit_log"
    TOOL_CALLS = "mcp_tool_invocation"
    GAPS = "mcp_audit_gap"
    READS = "mcp_audit_read"


_COLUMNS: Final = {
    Table.ENTRIES: f"""log, seq, id::text, {_TIME.format("created_at")}, method, path, status_code,
        outcome, instance, token_id::text, token_name, {_DURATION}, {_ADDRESS}, user_agent, tool,
        invocation_id::text, attribution, request_id""",
    Table.TOOL_CALLS: f"""log, seq, id::text, {_TIME.format("created_at")}, tool, outcome,
        status_code, origin, instance, token_id::text, token_name, {_DURATION}, api_calls,
        error_code, rounds, {_ADDRESS}, request_id, session::text, protocol_version, client_name,
        client_version, user_agent, principal, claims::text AS claims""",
    Table.GAPS: f"""log, seq, id::text, {_TIME.format("started_at")}, {_TIME.format("ended_at")},
        count, reason, instance""",
    Table.READS: f"""log, seq, id::text, {_TIME.format("created_at")}, kind, question, instance,
        reader, role, token_id::text, session, {_ADDRESS}, status_code, rows_told, times,
        began::text""",
}
_ARRIVED: Final = frozenset({Table.ENTRIES, Table.TOOL_CALLS})


class Sealed(NamedTuple):
    """A row with a place."""

    log: int
    place: int | None
    """None where only the log is given."""
    data: bytes
    """Its leaf data, made anew."""
    seconds: int
    """When it was created, in Unix seconds; of a gap, when it ended."""
    id: str


_BY_ID: Final = "(row.created_at, row.id) IN (SELECT * FROM unnest($1::timestamptz[], $2::uuid[]))"
Leaves = Callable[[Sequence[Row]], list[bytes]]


async def sealed_rows(
    transaction: Transaction, table: Table, since: datetime | None
) -> AsyncIterator[list[Sealed]]:
    """Yield the rows of *table* that name a log, in batches and in no order.

    With *since* only those that arrived since then, where the table knows.
    """
    condition, arguments = "log IS NOT NULL", list[object]()
    if since is not None and table in _ARRIVED:
        condition, arguments = f"{condition} AND arrived_at >= $1", [since]
    await transaction.execute(
        f"DECLARE sealed NO SCROLL CURSOR FOR SELECT {_COLUMNS[table]} FROM {table}"  # noqa: S608
        f" WHERE {condition}",
        *arguments,
    )
    while rows := await transaction.fetch(f"FETCH FORWARD {BATCH} FROM sealed"):
        yield _sealed(table, rows)
    await transaction.execute("CLOSE sealed")


async def rows_at(
    transaction: Transaction, table: Table, log: int, places: Sequence[int]
) -> list[Sealed]:
    """Return the rows of *table* at *places* of *log*. There is no index: it reads the table."""
    rows = await transaction.fetch(
        f"SELECT {_COLUMNS[table]} FROM {table} WHERE log = $1 AND seq = ANY($2::bigint[])",  # noqa: S608
        log,
        places,
    )
    return _sealed(table, rows)


async def rows_by_id(
    transaction: Transaction, table: Table, ids: Sequence[UUID], moments: Sequence[datetime]
) -> list[Sealed]:
    """Return the rows of *table* with these *ids*, created at *moments*, by an index."""
    arguments: list[object] = [ids]
    condition = "row.id = ANY($1::uuid[])"
    if table is Table.ENTRIES:
        condition, arguments = _BY_ID, [moments, ids]
    sql = f"SELECT {_COLUMNS[table]} FROM {table} AS row WHERE {condition}"  # noqa: S608
    return _sealed(table, await transaction.fetch(sql, *arguments))


def _sealed(table: Table, rows: Sequence[Row]) -> list[Sealed]:
    ends = "ended_at" if table is Table.GAPS else "created_at"
    return [
        Sealed(row[0], row[1], data, _second_of(row[ends]), row[2])
        for row, data in zip(rows, _LEAVES[table](rows), strict=True)
    ]


def _second_of(moment: datetime) -> int:
    return min(max(0, int((moment - _EPOCH).total_seconds())), _LAST_SECOND)


def _entries(rows: Sequence[Row]) -> list[bytes]:
    return entry_leaves([_entry(*row) for row in rows])


def _entry(  # noqa: PLR0913, PLR0917 - the columns, in their order
    log: int,
    seq: int,
    id_: str,
    created_at: datetime,
    method: str,
    path: str,
    status_code: int,
    outcome: str,
    instance: str,
    token_id: str | None,
    token_name: str | None,
    duration_ms: float | None,
    client_ip: str | None,
    user_agent: str | None,
    tool: str | None,
    invocation_id: str | None,
    attribution: str | None,
    request_id: str | None,
) -> RecordRow:
    return RecordRow(
        id=id_,
        created_at=created_at,
        method=method,
        path=path,
        status_code=status_code,
        outcome=outcome,
        instance=instance,
        token_id=token_id,
        token_name=token_name,
        duration_ms=duration_ms,
        client_ip=client_ip,
        user_agent=user_agent,
        tool=tool,
        invocation_id=invocation_id,
        attribution=attribution,
        request_id=request_id,
        log=log,
        seq=seq,
    )


def _tool_calls(rows: Sequence[Row]) -> list[bytes]:
    leaves = []
    for row in rows:
        values = dict(row)
        claims = values.pop("claims")
        leaves.append(tool_call_leaf(Invocation(**values), claims or "null"))
    return leaves


def _gaps(rows: Sequence[Row]) -> list[bytes]:
    return [gap_leaf(Gap(**dict(row))) for row in rows]


def _reads(rows: Sequence[Row]) -> list[bytes]:
    return [read_leaf(Read(**dict(row))) for row in rows]


_LEAVES: Final[dict[Table, Leaves]] = {
    Table.ENTRIES: _entries,
    Table.TOOL_CALLS: _tool_calls,
    Table.GAPS: _gaps,
    Table.READS: _reads,
}
