"""Reads with a seal: the log grows with the rows, in one transaction.

The row with the log's state is locked, so that processes with the same key take turns, and each
continues what the other has stored. The state is authenticated by their key: the owner of the
database cannot put a leaf into it, which they would sign. A read that is stored already, because
the response to its transaction was lost, gets no second leaf.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from hmac import compare_digest
from typing import Final, NamedTuple

from msgspec.structs import replace

from audit_log.errors import StoreUnavailableError
from audit_log.postgres.database import Database
from audit_log.postgres.readers.read_rows import append_reads
from audit_log.postgres.seal.seal_tables import append_parts
from audit_log.postgres.transaction import Transaction
from audit_log.reads import Read
from audit_log.record import Event, new_record_id
from audit_log.seal.growing.growth import Grown, Lines
from audit_log.seal.growing.state import State
from audit_log.seal.keys import NOTE, VerifierKey
from audit_log.seal.leaf import event_leaf, read_leaf
from audit_log.seal.leaves import LeafNote
from audit_log.seal.stored import SealLog
from audit_log.seal.times import second_of
from audit_log.seal.tree import leaf_hash

_BEGIN: Final = """
INSERT INTO mcp_audit_read_seal (key, state) VALUES ($1, $2) ON CONFLICT DO NOTHING
"""
_STATE: Final = "SELECT state FROM mcp_audit_read_seal WHERE key = $1"
_GROW: Final = "UPDATE mcp_audit_read_seal SET state = $2 WHERE key = $1"
_KNOWN: Final = "SELECT id FROM mcp_audit_read WHERE id = ANY($1::uuid[])"
_PLACELESS: Final = """
SELECT count(*) FROM mcp_audit_read
WHERE log IS NULL AND instance = $1 AND created_at >= to_timestamp($2)
    AND created_at > (SELECT coalesce(max(created_at), '-infinity') FROM mcp_audit_read
        WHERE log = $3 AND created_at >= to_timestamp($2))
"""
_MAC_BYTES: Final = 32


class ReadKey(NamedTuple):
    """The key of a log of reads."""

    public: bytes
    secret: bytes
    """The 32 bytes from which it is made."""

    def closed(self, state: State) -> bytes:
        """Return *state* as it is stored, authenticated."""
        data = state.written()
        return self._mac(data) + data

    def opened(self, stored: bytes) -> State | None:
        """Return the state in *stored*; None if no holder of this key has written it."""
        mac, data = stored[:_MAC_BYTES], stored[_MAC_BYTES:]
        return State.read(data) if compare_digest(mac, self._mac(data)) else None

    def _mac(self, data: bytes) -> bytes:
        # Ed25519 uses the secret otherwise: by SHA-512, without this person.
        return blake2b(
            data, key=self.secret, digest_size=_MAC_BYTES, person=b"state of reads"
        ).digest()


async def begin_log(database: Database, key: ReadKey, instance: str) -> State:
    """Return the log of *key*; begin one of *instance* if it has none.

    A log that goes on tells how many reads *instance* has stored without a place since its last
    leaf, as an audit API without a seal does. Raises StoreError.
    """
    async with database.transaction() as transaction:
        state = State.begun(instance, key.public, 0)
        tag = await transaction.execute(_BEGIN, key.public, key.closed(state))
        if tag == "INSERT 0 1":
            named = str(VerifierKey(state.origin, NOTE, key.public))
            begun = SealLog(state.sealing.log, state.origin, named, instance, 0)
            await append_parts(transaction, [begun])
            return state
        state = await log_state(transaction, key, locks=True)
        row = await transaction.fetch_row(
            _PLACELESS, instance, float(state.second), state.sealing.log
        )
        count = 0 if row is None else int(row[0])
        if not count:
            return state
        state = replace(state, left_lines=state.left_lines + count)
        start = Event(
            id=new_record_id(),
            at=datetime.now(UTC),
            name="start",
            details={"lines_left": str(state.left_lines)},
        )
        return await _append_event(transaction, key, state, start)


async def log_state(source: Database | Transaction, key: ReadKey, *, locks: bool = False) -> State:
    """Return the state of the log of *key*, and lock it for the transaction. Raises StoreError."""
    row = await source.fetch_row(_STATE + (" FOR UPDATE" if locks else ""), key.public)
    state = None if row is None else key.opened(bytes(row["state"]))
    if state is None:
        raise StoreUnavailableError(
            "mcp_audit_read_seal has no state that the key of the reads' seal has written: put it"
            " back from a backup, or begin another log with another AUDIT_API_SEAL_DIR"
        )
    return state


async def append_sealed_reads(database: Database, key: ReadKey, reads: Sequence[Read]) -> None:
    """Store *reads* with their places in the log of *key*; safe to repeat. Raises StoreError."""
    async with database.transaction() as transaction:
        state = await log_state(transaction, key, locks=True)
        rows = await transaction.fetch(_KNOWN, [read.id for read in reads])
        known = {row["id"] for row in rows}
        fresh = [read for read in reads if read.id not in known]
        if not fresh:
            return
        log, first = state.sealing.log, state.next_line
        placed = [
            replace(read, log=log, seq=state.sealing.place(first + at))
            for at, read in enumerate(fresh)
        ]
        hashes = [leaf_hash(read_leaf(read)) for read in placed]
        seconds = [second_of(read.created_at) for read in placed]
        await append_reads(transaction, placed)
        await _grow(transaction, key, state, Lines(first, hashes, seconds))


async def append_event(database: Database, key: ReadKey, event: Event) -> None:
    """Append *event* to the log of *key*; a note tells of it. Raises StoreError."""
    async with database.transaction() as transaction:
        state = await log_state(transaction, key, locks=True)
        await _append_event(transaction, key, state, event)


async def _append_event(
    transaction: Transaction, key: ReadKey, state: State, event: Event
) -> State:
    data = event_leaf(event)
    line = state.next_line
    note = LeafNote(line, 1, data)
    lines = Lines(line, [leaf_hash(data)], [second_of(event.at)], [note])
    return await _grow(transaction, key, state, lines)


async def _grow(transaction: Transaction, key: ReadKey, state: State, lines: Lines) -> State:
    grown = Grown(state, state.tree()).by(lines)
    await append_parts(transaction, [*grown.tiles, *grown.notes])
    await transaction.execute(_GROW, key.public, key.closed(grown.state))
    return grown.state
