"""Which columns of a row the seal covers, and its leaf data made anew from them.

What is read is not trusted. A value that no row of ours can have, such as an infinite time, is
read as another such value: the leaf is then not the sealed one.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from audit_log.postgres.transaction import Row
from audit_log.reads import Read
from audit_log.record import Gap, Invocation, RecordRow
from audit_log.seal.leaf import entry_leaves, gap_leaf, read_leaf, tool_call_leaf

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
ENTRY_COLUMNS: Final = f"""log, seq, id::text, {_TIME.format("created_at")}, method, path,
    status_code, outcome, instance, token_id::text, token_name, {_DURATION}, {_ADDRESS},
    user_agent, tool, invocation_id::text, attribution, request_id"""
CALL_COLUMNS: Final = f"""log, seq, id::text, {_TIME.format("created_at")}, tool, outcome,
    status_code, origin, instance, token_id::text, token_name, {_DURATION}, api_calls, error_code,
    rounds, {_ADDRESS}, request_id, session::text, protocol_version, client_name, client_version,
    user_agent, principal, claims::text AS claims"""
GAP_COLUMNS: Final = f"""log, seq, id::text, {_TIME.format("started_at")},
    {_TIME.format("ended_at")}, count, reason, instance"""
READ_COLUMNS: Final = f"""log, seq, id::text, {_TIME.format("created_at")}, kind, question,
    instance, reader, role, token_id::text, session, {_ADDRESS}, status_code, rows_told, times,
    began::text"""
_ENTRY_WIDTH: Final = 18
_CALL_NAMES: Final = frozenset(Invocation.__struct_fields__) - {"claims", "arrived_at"}
_GAP_NAMES: Final = Gap.__struct_fields__
_READ_NAMES: Final = Read.__struct_fields__


def leaves_of_entries(rows: Sequence[Row]) -> list[bytes]:
    """Return the leaf data of rows that begin with `ENTRY_COLUMNS`."""
    return entry_leaves([_entry(*row[:_ENTRY_WIDTH]) for row in rows])


def leaves_of_calls(rows: Sequence[Row]) -> list[bytes]:
    """Return the leaf data of rows with `CALL_COLUMNS`."""
    return [
        tool_call_leaf(Invocation(**_values(row, _CALL_NAMES)), row["claims"] or "null")
        for row in rows
    ]


def leaves_of_gaps(rows: Sequence[Row]) -> list[bytes]:
    """Return the leaf data of rows with `GAP_COLUMNS`."""
    return [gap_leaf(Gap(**_values(row, _GAP_NAMES))) for row in rows]


def leaves_of_reads(rows: Sequence[Row]) -> list[bytes]:
    """Return the leaf data of rows with `READ_COLUMNS`."""
    return [read_leaf(Read(**_values(row, _READ_NAMES))) for row in rows]


def _values(row: Row, names: Collection[str]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


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
