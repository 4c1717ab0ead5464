"""The numbers in the first page of a ring's file, each an aligned 8-byte word.

Their order is the format on disk: a new sidecar recovers the ring of an older one by it.
"""

import mmap
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from audit_log.record import new_record_id

HEADER_BYTES: Final = mmap.PAGESIZE
MAGIC_NUMBER: Final = int.from_bytes(b"pwaudit1", "big")
(
    MAGIC,
    IDENTITY,
    SIZE,
    ORIGIN,
    FIRST_NUMBER,
    WRITTEN,
    MOVED,
    COMMITTED,
    COMMITTED_NUMBER,
    REFUSED,
    REFUSED_FIRST,
    REFUSED_LAST,
    GAP_HIGH,
    GAP_LOW,
    # Version 0.2 added these; they are 0 in the ring of an earlier one.
    FOLDER_ID,
    FOLDER_PLACE,
    PREDECESSOR,
    ORIGIN_US,
    COMMITTED_US,
    IS_REPORTED,
) = range(20)
_PATH_AT: Final = 512
_PATH_BYTES: Final = HEADER_BYTES - _PATH_AT


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a ring begins: its first line is *number*, at offset *start*."""

    identity: int
    start: int
    number: int
    predecessor: int = 0
    """The identity of the last ring that had left a mark in the folder; 0 for none."""
    moment: datetime | None = None
    """When the log was at `start`; None when that is not known."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The journal folder that a ring belongs to, as the ring's header tells it."""

    folder_id: int = 0
    """0 in the ring of a version before 0.2."""
    place: int = 0
    """See `place_of`: the folder of another container at the same path has another one."""
    path: Path = Path()
    """Where the folder was; empty when it is not known."""

    @classmethod
    def read(cls, words: memoryview) -> "Owner":
        """Return the owner in *words*, a header."""
        path = bytes(words.cast("B")[_PATH_AT : _PATH_AT + _PATH_BYTES]).rstrip(b"\0")
        return cls(words[FOLDER_ID], words[FOLDER_PLACE], Path(os.fsdecode(path)))

    def write(self, words: memoryview) -> None:
        """Put the owner into *words*, a header."""
        # A longer path is left out: it could not be told from another one.
        path = os.fsencode(self.path)
        path = path if len(path) <= _PATH_BYTES else b""
        words.cast("B")[_PATH_AT : _PATH_AT + _PATH_BYTES] = path.ljust(_PATH_BYTES, b"\0")
        words[FOLDER_PLACE] = self.place
        # Last: without it the others say nothing.
        words[FOLDER_ID] = self.folder_id


@dataclass(frozen=True, slots=True)
class Refused:
    """How many records found no room, and when, in microseconds since 1970."""

    count: int
    first_us: int
    last_us: int
    gap_id: UUID
    """Given with the first refusal, so that reporting twice after a kill is harmless."""


class Refusals:
    """Counts records that found no room, until a gap reports them; the count survives a kill."""

    def __init__(self, counters: memoryview) -> None:
        self._counters = counters

    def add(self, now_us: int) -> None:
        """Count a record for which there was no room."""
        counters = self._counters
        if counters[REFUSED] == 0:
            gap_id = new_record_id().int
            counters[GAP_HIGH] = gap_id >> 64
            counters[GAP_LOW] = gap_id & 0xFFFF_FFFF_FFFF_FFFF
            counters[REFUSED_FIRST] = now_us
        counters[REFUSED_LAST] = now_us
        counters[REFUSED] += 1

    def pending(self) -> Refused | None:
        """Return what was counted since `forget`, or None."""
        counters = self._counters
        if counters[REFUSED] == 0:
            return None
        return Refused(
            count=counters[REFUSED],
            first_us=counters[REFUSED_FIRST],
            last_us=counters[REFUSED_LAST],
            gap_id=UUID(int=counters[GAP_HIGH] << 64 | counters[GAP_LOW]),
        )

    def forget(self) -> None:
        """Start again at zero: a gap has reported the count."""
        self._counters[REFUSED] = 0
