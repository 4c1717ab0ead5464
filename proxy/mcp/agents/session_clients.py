"""Which client opened which session of MCP: remembered in memory that workers may share.

Theory of operation. A client introduces itself once, to one worker, and its tool calls reach any
of them. So the memory is a table in which all workers write and read without a lock. A session
lies in one of the WAYS of its bucket; when all are taken, the one that was used the longest ago
makes room. A checksum tells a reader of two writers that met, and of one that was killed: such a
slot counts as empty. What is forgotten is not known, and never another client.

With the client lies when the session was opened, by the clock that all processes of a machine
share, so that whichever worker sees its end can tell how long it lasted.
"""

import mmap
from time import monotonic_ns
from typing import Final
from uuid import UUID
from zlib import crc32

import msgspec

from proxy.mcp.agents.agent import UNKNOWN_CLIENT, Client

WAYS: Final = 8
BUCKETS: Final = 1_024
SLOT_BYTES: Final = 1_280
"""Holds a name and versions of the longest kind, each character of 4 bytes."""
SIZE_BYTES: Final = BUCKETS * WAYS * SLOT_BYTES
"""Of which only the pages that were written take memory."""
_WORDS: Final = SLOT_BYTES // 8
_TEXT_AT: Final = 16
_ID_BYTES: Final = 16
_OPENED: Final = slice(_ID_BYTES, _ID_BYTES + 8)
_HAS_ENDED: Final = 0
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Client).decode


class SessionClients:
    """The clients of the sessions that were used last."""

    def __init__(self, memory: mmap.mmap | None = None) -> None:
        """Share *memory* of SIZE_BYTES with other workers; without it there are none."""
        self._bytes = memoryview(mmap.mmap(-1, SIZE_BYTES) if memory is None else memory)
        self._words = self._bytes.cast("Q")

    def note(self, session: UUID, client: Client) -> None:
        """Remember the *client* of *session*."""
        found = self._find(session)
        if found is None:
            slot, opened = min(_slots_of(session), key=self._used_at), monotonic_ns()
        else:
            slot, opened = found[0], int.from_bytes(found[1][_OPENED])
        self._put(slot, session, opened, _encode(client))

    def client_of(self, session: UUID | None) -> Client:
        """Return the client of *session*, as far as it is known."""
        found = None if session is None else self._find(session)
        if found is None:
            return UNKNOWN_CLIENT
        slot, text = found
        self._use(slot)
        return _decode(text[_OPENED.stop :])

    def end(self, session: UUID) -> tuple[float, Client] | None:
        """Note that *session* has ended; return how many seconds it was open, and its client.

        Return None if that is not known, or if it had ended before.
        """
        found = self._find(session)
        if found is None:
            return None
        slot, text = found
        opened, client = int.from_bytes(text[_OPENED]), text[_OPENED.stop :]
        if opened == _HAS_ENDED:
            return None
        self._put(slot, session, _HAS_ENDED, client)
        return (monotonic_ns() - opened) / 1e9, _decode(client)

    def _put(self, slot: int, session: UUID, opened: int, client: bytes) -> None:
        text = session.bytes + opened.to_bytes(8) + client
        at = slot * SLOT_BYTES + _TEXT_AT
        self._bytes[at : at + len(text)] = text
        self._words[slot * _WORDS] = len(text) << 32 | crc32(text)
        self._use(slot)

    def _find(self, session: UUID) -> tuple[int, bytes] | None:
        """Return the slot of *session*, and what it says."""
        for slot in _slots_of(session):
            if text := self._text_in(slot, session):
                return slot, text
        return None

    def _text_in(self, slot: int, session: UUID) -> bytes | None:
        """Return what *slot* says of *session*; None if it is about another, or torn."""
        at = slot * SLOT_BYTES + _TEXT_AT
        if self._bytes[at : at + _ID_BYTES] != session.bytes:
            return None
        length, checksum = divmod(self._words[slot * _WORDS], 1 << 32)
        text = bytes(self._bytes[at : at + min(length, SLOT_BYTES - _TEXT_AT)])
        return text if crc32(text) == checksum else None

    def _used_at(self, slot: int) -> int:
        return self._words[slot * _WORDS + 1]

    def _use(self, slot: int) -> None:
        self._words[slot * _WORDS + 1] = monotonic_ns()


def _slots_of(session: UUID) -> range:
    first = int.from_bytes(session.bytes[:4]) % BUCKETS * WAYS
    return range(first, first + WAYS)
