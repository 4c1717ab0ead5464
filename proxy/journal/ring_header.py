"""The numbers in the first page of a ring's file, each an aligned 8-byte word.

Their order is the format on disk: a new sidecar recovers the ring of an older one by it.
"""

import mmap
from dataclasses import dataclass
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
) = range(10)
BEYOND_SHARE: Final = 64
UNPROTECTED: Final = 72
KNOWN_IN_FLIGHT: Final = 80
STRANGERS_IN_FLIGHT: Final = 88
UNREADABLE: Final = 96
"""Where counts begin, as at REFUSED: five words each."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many records are not kept, and since when, in microseconds since 1970."""

    count: int
    first_us: int
    last_us: int
    gap_id: UUID
    """Given with the first, so that reporting twice after a kill is harmless."""


class Count:
    """Counts records that are not kept, until a gap reports them; the count survives a kill."""

    def __init__(self, counters: memoryview, at: int) -> None:
        """Count in the five words from *at*."""
        self._counters = counters
        self._count, self._first, self._last, self._id_high, self._id_low = range(at, at + 5)

    def add(self, now_us: int) -> None:
        """Count a record that is not kept."""
        self._add(1, now_us, now_us)

    def add_all_of(self, other: "Count") -> None:
        """Take over what *other* has counted."""
        if (counted := other.pending()) is not None:
            self._add(counted.count, counted.first_us, counted.last_us)
            other.forget()

    def take_back(self) -> None:
        """Count one less: a record that `add` counted is kept after all."""
        if self._counters[self._count]:  # not yet reported
            self._counters[self._count] -= 1

    def pending(self) -> Counted | None:
        """Return what was counted since `forget`, or None."""
        counters = self._counters
        if counters[self._count] == 0:
            return None
        return Counted(
            count=counters[self._count],
            first_us=counters[self._first],
            last_us=counters[self._last],
            gap_id=UUID(int=counters[self._id_high] << 64 | counters[self._id_low]),
        )

    def forget(self) -> None:
        """Start again at zero: a gap has reported the count."""
        self._counters[self._count] = 0

    def _add(self, count: int, first_us: int, last_us: int) -> None:
        counters = self._counters
        if counters[self._count] == 0:
            gap_id = new_record_id().int
            counters[self._id_high] = gap_id >> 64
            counters[self._id_low] = gap_id & 0xFFFF_FFFF_FFFF_FFFF
            counters[self._first] = first_us
        counters[self._last] = last_us
        counters[self._count] += count
