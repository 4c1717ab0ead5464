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
    REFUSED_FIRST,
    REFUSED_LAST,
    GAP_HIGH,
    GAP_LOW,
) = range(14)


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
