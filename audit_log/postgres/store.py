"""The store: the only module that writes records, tool calls and gaps."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from audit_log.errors import RecordRefusedError
from audit_log.postgres.arrivals import CHANNEL
from audit_log.postgres.copy_lines import COLUMNS, copy_lines
from audit_log.postgres.database import Database
from audit_log.postgres.seal.seal_tables import SealTables
from audit_log.record import AnyRecord, Gap, Invocation, Named, named, unknown_token_name
from audit_log.seal.stored import Sealed

# The timeline is that of the write-ahead log and not that of the last checkpoint, which may be of
# the time before a promotion. Every role may ask for these.
_IDENTITY: Final = """
SELECT concat_ws(' ', system_identifier, left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
    current_database())
FROM pg_control_system()
"""
_NOTHING_INSERTED: Final = "INSERT 0 0"

# One JSON parameter that the server decodes: encoding it costs the sidecar a tenth of what arrays
# of columns cost. ON CONFLICT has no target: then the role needs INSERT only, with any key that
# an adopted table may have.
_APPEND: Final = """
INSERT INTO mcp_audit_log (
    id, token_id, token_name, method, path, status_code, created_at, outcome, duration_ms,
    client_ip, user_agent, tool, invocation_id, attribution, request_id, instance, seq, log)
SELECT * FROM json_to_recordset($1) AS record (
    id uuid, token_id uuid, token_name text, method text, path text, status_code smallint,
    created_at timestamptz, outcome text, duration_ms real, client_ip inet, user_agent text,
    tool text, invocation_id uuid, attribution text, request_id text, instance text, seq bigint,
    log integer)
ON CONFLICT DO NOTHING
"""
# One per batch, for the live stream of the audit API. NOTIFY needs no right.
_ANNOUNCE: Final = f"NOTIFY {CHANNEL}"
_AT_ONCE: Final = 1_000
"""How many records are encoded without yielding to the loop: a few milliseconds."""
_APPEND_INVOCATIONS: Final = """
INSERT INTO mcp_tool_invocation (
    id, token_id, token_name, tool, created_at, duration_ms, outcome, status_code, error_code,
    api_calls, rounds, origin, client_ip, request_id, instance, session, protocol_version,
    client_name, client_version, user_agent, principal, claims, seq, log)
SELECT id, token_id, token_name, tool, created_at, duration_ms, outcome, status_code, error_code,
       coalesce(api_calls, 0), coalesce(rounds, 1), origin, client_ip, request_id, instance,
       session, protocol_version, client_name, client_version, user_agent,
       principal, claims, seq, log
FROM json_to_recordset($1) AS invocation (
    id uuid, token_id uuid, token_name text, tool text, created_at timestamptz, duration_ms real,
    outcome text, status_code smallint, error_code integer, api_calls integer, rounds integer,
    origin text, client_ip inet, request_id text, instance text, session uuid,
    protocol_version text, client_name text, client_version text, user_agent text,
    principal text, claims jsonb, seq bigint, log integer)
ORDER BY id  -- two batches with the same tool calls wait for each other, and never both ways
ON CONFLICT DO NOTHING
"""
_APPEND_GAPS: Final = """
INSERT INTO mcp_audit_gap (id, started_at, ended_at, count, reason, instance, seq, log)
SELECT * FROM json_to_recordset($1) AS gap (
    id uuid, started_at timestamptz, ended_at timestamptz, count bigint, reason text,
    instance text, seq bigint, log integer)
ON CONFLICT DO NOTHING
"""


class _AbsentError(Exception):
    """A record is not there; raised to roll back."""


class Store:
    """The audit log in PostgreSQL. Errors are those of `Database`."""

    receipts: Final = None
    """What is appended has arrived."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reach(self) -> None:
        """Return if PostgreSQL can be reached and has the audit log."""
        await self._database.execute("SELECT 'mcp_audit_log'::regclass")

    async def identity(self) -> str | None:
        """Return a text that no other server has, and no standby after its promotion."""
        row = await self._database.fetch_row(_IDENTITY)
        return None if row is None else str(row[0])

    async def has(self, record: AnyRecord) -> bool:
        """Say whether *record* is there. Needs no right to read: it tries to insert it."""
        with suppress(_AbsentError):
            async with self._database.transaction() as transaction:
                tag = await transaction.execute(_APPEND, _json([_named(record)]))
                _expect(tag, _NOTHING_INSERTED)
            return True
        return False

    async def append(self, records: Sequence[AnyRecord]) -> None:
        """Write *records*: all or none of them. Idempotent.

        If COPY fails, the batch is retried with INSERT … ON CONFLICT DO NOTHING; only INSERT
        decides whether a record is rejected.
        """
        if not records:
            return
        named = [_named(record) for record in records]
        try:
            await self._copy(named)
        except RecordRefusedError:
            # Some records are there already, or one of them cannot pass COPY.
            await self._insert(named)

    async def _copy(self, records: Sequence[AnyRecord]) -> None:
        """Append *records*, none of which may be there yet: twice as fast as INSERT."""
        pieces = map(copy_lines, _pieces(records))
        async with self._database.transaction() as transaction:
            await transaction.copy("mcp_audit_log", COLUMNS, pieces)
            await transaction.execute(_ANNOUNCE)

    async def _insert(self, records: Sequence[AnyRecord]) -> None:
        async with self._database.transaction() as transaction:
            for piece in _pieces(records):
                await transaction.execute(_APPEND, _json(piece))
            await transaction.execute(_ANNOUNCE)

    async def append_invocations(self, invocations: Sequence[Invocation]) -> None:
        """Write *invocations*: all or none of them. Idempotent.

        A row that is there is replaced if its tool call had not ended, and not by an older one
        (migration 0016).
        """
        if invocations:
            values = _json([_named(invocation) for invocation in invocations])
            await self._execute_and_announce(_APPEND_INVOCATIONS, values)

    async def append_gaps(self, gaps: Sequence[Gap]) -> None:
        """Write *gaps*: all or none of them. Idempotent."""
        if gaps:
            await self._execute_and_announce(_APPEND_GAPS, _json(gaps))

    async def _execute_and_announce(self, sql: str, values: str) -> None:
        async with self._database.transaction() as transaction:
            await transaction.execute(sql, values)
            await transaction.execute(_ANNOUNCE)

    async def append_sealed(self, parts: Sequence[Sealed]) -> None:
        """Write *parts* of the seal: all or none of them. Repeating it is harmless."""
        await SealTables(self._database).append(parts)


def _expect(tag: str, expected: str) -> None:
    if tag != expected:
        raise _AbsentError


def _pieces(records: Sequence[AnyRecord]) -> Iterator[Sequence[AnyRecord]]:
    for first in range(0, len(records), _AT_ONCE):
        yield records[first : first + _AT_ONCE]


def _json(values: Sequence[AnyRecord | Invocation | Gap]) -> str:
    try:
        return msgspec.json.encode(values).decode()
    except UnicodeEncodeError as error:
        raise RecordRefusedError("a text holds half a surrogate pair") from error


def _named(record: Named) -> Named:
    """Return *record* with a name. The writer has resolved it unless the token is unknown."""
    if record.token_name is not None:
        return record
    return named(record, unknown_token_name(record.token_hash or ""))
