"""The memory in which workers show each other their tool calls in flight, and their sessions.

Theory of operation. Each worker has a *part*, in which it alone writes and the others read. No
lock is needed, so a worker that hangs or is killed in the middle of a change holds up no other:

- Each number is an aligned 8-byte word, stored in one access. Nothing is ever moved.
- A *slot* describes one tool call. Its first word is 0 while the rest is written, and is checked
  again after the rest was read.
- The *table* finds slots by a key: a hash of a caller or of an id. A key lies in one of the WAYS
  of its bucket, with the number of its slots and one of them.
- The hash is keyed with a secret of this run, so that no client can fill a bucket on purpose.

Behind the parts is the memory of `SessionClients`, in which all workers write.
"""

import mmap
import os
import secrets
from hashlib import blake2b
from itertools import pairwise
from typing import Final
from uuid import UUID

import msgspec

from proxy.mcp.agents.session_clients import SIZE_BYTES, SessionClients

SLOTS: Final = 4_096
WAYS: Final = 8
SLOT_BYTES: Final = 1_024
"""Holds a tool name of 128 characters, each of 4 bytes."""
_BUCKETS: Final = 8_192
_COUNTERS: Final = 4_096
_SLOT_BITS: Final = 16
_KEYS_AT: Final = 1
_MAX_KEYS: Final = 7
_TEXT_AT: Final = 64
_HEADER_WORDS: Final = 512
_SECRET_BYTES: Final = 32


class Shown(msgspec.Struct, frozen=True, gc=False):
    """What a slot says of its tool call."""

    id: UUID
    tool: str
    is_traced: bool
    """Whether the client chose a trace for it."""


class Description(msgspec.Struct, frozen=True, gc=False):
    """A slot as another worker reads it."""

    shown: Shown
    keys: tuple[int, ...]
    """The key of its caller, and of its ids."""


class Part:
    """The part of one worker. Only that worker may call the methods that write."""

    def __init__(self, memory: mmap.mmap, workers: int) -> None:
        self._bytes = memoryview(memory)
        words = self._bytes.cast("Q")
        self._memory = memory
        cuts = _cuts(workers)
        self._header, self._beyond, self._table, self._slots, self._ties = (
            words[start:stop] for start, stop in pairwise(cuts)
        )
        self._slots_at = cuts[3] * 8

    def clear(self) -> None:
        """Show nothing."""
        self._memory.madvise(mmap.MADV_REMOVE)

    @property
    def in_use(self) -> int:
        """How many slots are in use."""
        return self._header[0]

    @in_use.setter
    def in_use(self, count: int) -> None:
        self._header[0] = count

    @property
    def is_incomplete(self) -> bool:
        """Whether some key found no place in the table."""
        return self._header[1] > 0

    def add_missing(self, count: int) -> None:
        """Count keys that found no place."""
        self._header[1] += count

    def add_beyond(self, caller: int, count: int) -> None:
        """Count tool calls of *caller* that are shown in no slot."""
        self._beyond[caller % _COUNTERS] += count

    def is_beyond(self, caller: int) -> bool:
        """Return whether *caller* may have tool calls that are shown in no slot."""
        return self._beyond[caller % _COUNTERS] > 0

    def find(self, key: int) -> tuple[int, int] | None:
        """Return how many slots *key* has, and one of them; None if it has none."""
        at = _bucket(key)
        ways = self._table[at : at + 2 * WAYS].tolist()
        if key not in ways[::2]:
            return None
        return divmod(ways[2 * ways[::2].index(key) + 1], 1 << _SLOT_BITS)

    def free_way(self, key: int) -> int | None:
        """Return a way in which *key* can be put, or None."""
        at = _bucket(key)
        ways = range(at, at + 2 * WAYS, 2)
        return next((way for way in ways if self._table[way] == 0), None)

    def put(self, way: int, key: int, count: int, slot: int) -> None:
        """Have *key* found in *way*, with *count* slots of which *slot* is one."""
        self._table[way + 1] = count << _SLOT_BITS | slot
        self._table[way] = key

    def take_out(self, way: int) -> None:
        """Free *way*."""
        self._table[way] = 0

    def show(self, slot: int, shown: Shown, keys: list[int]) -> None:
        """Fill *slot*."""
        at = slot * SLOT_BYTES // 8
        text = msgspec.msgpack.encode(shown)
        keys = keys[:_MAX_KEYS]
        self._slots[at] = 0
        for number in range(_MAX_KEYS):
            self._slots[at + _KEYS_AT + number] = keys[number] if number < len(keys) else 0
        start = self._slots_at + slot * SLOT_BYTES + _TEXT_AT
        self._bytes[start : start + len(text)] = text
        self._slots[at] = secrets.randbits(48) << 16 | len(text)

    def hide(self, slot: int) -> None:
        """Empty *slot*."""
        self._slots[slot * SLOT_BYTES // 8] = 0

    def read(self, slot: int) -> Description | None:
        """Return what *slot* shows; None if its tool call has ended meanwhile."""
        at = slot * SLOT_BYTES // 8
        mark = self._slots[at]
        start = self._slots_at + slot * SLOT_BYTES
        copy = bytes(self._bytes[start : start + SLOT_BYTES])
        if mark == 0 or self._slots[at] != mark:
            return None
        text = copy[_TEXT_AT : _TEXT_AT + (mark & 0xFFFF)]
        keys = memoryview(copy).cast("Q")[_KEYS_AT : _KEYS_AT + _MAX_KEYS].tolist()
        return Description(msgspec.msgpack.decode(text, type=Shown), tuple(filter(None, keys)))

    def tie(self, worker: int, slot: int) -> None:
        """Count an API call that is tied to the tool call in *slot* of another *worker*."""
        self._ties[worker * SLOTS + slot] += 1

    def ties(self, worker: int, slot: int) -> int:
        """Return how often `tie` was called with *worker* and *slot*."""
        return self._ties[worker * SLOTS + slot]


class SharedMemory:
    """The parts of all workers, in memory that ends with the last of them."""

    def __init__(self, file: int, workers: int) -> None:
        """Map the memory that *file* is open at."""
        self.file = file
        self._secret = os.pread(file, _SECRET_BYTES, 0)
        size = _part_bytes(workers)
        self.parts = [
            Part(mmap.mmap(file, size, offset=mmap.PAGESIZE + number * size), workers)
            for number in range(workers)
        ]
        behind = mmap.PAGESIZE + workers * size
        self.clients = SessionClients(mmap.mmap(file, SIZE_BYTES, offset=behind))
        """The clients of sessions, whichever worker they were opened in."""

    @classmethod
    def create(cls, workers: int) -> "SharedMemory":
        """Make the memory of *workers*."""
        file = os.memfd_create("tool-calls", os.MFD_CLOEXEC)
        os.ftruncate(file, mmap.PAGESIZE + workers * _part_bytes(workers) + SIZE_BYTES)
        os.pwrite(file, secrets.token_bytes(_SECRET_BYTES), 0)
        return cls(file, workers)

    def key(self, *texts: str) -> int:
        """Return the key of *texts*, which is never 0."""
        joined = "\0".join(texts).encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(joined, key=self._secret, digest_size=8).digest()) | 1


def _bucket(key: int) -> int:
    return (key >> 1) % _BUCKETS * 2 * WAYS


def _cuts(workers: int) -> list[int]:
    """Return where header, counters, table, slots and ties begin, and the end, in words."""
    sizes = [
        _HEADER_WORDS,
        _COUNTERS,
        _BUCKETS * 2 * WAYS,
        SLOTS * SLOT_BYTES // 8,
        workers * SLOTS,
    ]
    return [sum(sizes[:number]) for number in range(len(sizes) + 1)]


def _part_bytes(workers: int) -> int:
    return _cuts(workers)[-1] * 8
