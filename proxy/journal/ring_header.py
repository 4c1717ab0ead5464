"""The numbers in the first page of a ring's file, each an aligned 8-byte word.

Their order is the format on disk: a new sidecar recovers the ring of an older one by it.
"""

import mmap
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
) = range(10)
(
    # Version 0.2 added these; they are 0 in the ring of an earlier one.
    FOLDER_ID,
    FOLDER_PLACE,
    PREDECESSOR,
    ORIGIN_US,
    COMMITTED_US,
    IS_REPORTED,
    STORE_ID,
    ARRIVED,
    ARRIVED_NUMBER,
    ARRIVED_US,
    IS_ENDED,
    IS_RENEWED,
    OBSERVED,
    SEALED_LOG,
) = range(14, 28)
BEYOND_SHARE: Final = 64
UNPROTECTED: Final = 72
KNOWN_IN_FLIGHT: Final = 80
STRANGERS_IN_FLIGHT: Final = 88
UNREADABLE: Final = 96
"""Where counts begin, as at REFUSED: five words each."""
COUNTS: Final = (
    *(REFUSED, BEYOND_SHARE, UNPROTECTED, KNOWN_IN_FLIGHT, STRANGERS_IN_FLIGHT),
    UNREADABLE,
)
_PATH_AT: Final = 1_024
_PATH_BYTES: Final = HEADER_BYTES - _PATH_AT
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


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
class Place:
    """A place in the log: line *number* begins at *offset*."""

    offset: int
    number: int
    """0 when it is not known."""
    moment: datetime | None
    """When the last record before it arrived; None when that is not known."""


class Arrival:
    """Up to where the log is known to be in PostgreSQL, if it is committed to a stream."""

    def __init__(self, counters: memoryview) -> None:
        self._counters = counters

    @property
    def place(self) -> Place | None:
        """That place; None if all that is committed has arrived."""
        beyond = self._counters[ARRIVED]
        if not beyond:
            return None
        moment = moment_of(self._counters[ARRIVED_US])
        return Place(beyond - 1, self._counters[ARRIVED_NUMBER], moment)

    @place.setter
    def place(self, place: Place | None) -> None:
        if place is not None:
            self._counters[ARRIVED_NUMBER] = place.number
            self._counters[ARRIVED_US] = _microseconds(place.moment)
        self._counters[ARRIVED] = 0 if place is None else place.offset + 1

    def change_to(self, counters: memoryview) -> None:
        """Go on in *counters*, a copy."""
        self._counters = counters


class Moments:
    """When the log was at two of its places, and who has what lies before the second."""

    def __init__(self, counters: memoryview) -> None:
        self._counters = counters
        self.store_seen_at: float | None = None
        """When that store was last there, by the monotonic clock; None if the writer never looks.

        What is kept for it is kept while it is away.
        """

    @property
    def began_at(self) -> datetime | None:
        """When the log was where the ring begins, or None."""
        return moment_of(self._counters[ORIGIN_US])

    @began_at.setter
    def began_at(self, moment: datetime | None) -> None:
        self._counters[ORIGIN_US] = _microseconds(moment)

    @property
    def committed(self) -> datetime | None:
        """When the last record that is in PostgreSQL arrived, or None."""
        return moment_of(self._counters[COMMITTED_US])

    @committed.setter
    def committed(self, moment: datetime | None) -> None:
        self._counters[COMMITTED_US] = _microseconds(moment)

    @property
    def store_id(self) -> int:
        """The store that has what is committed, as the writer named it; 0 when not known."""
        return self._counters[STORE_ID]

    @store_id.setter
    def store_id(self, number: int) -> None:
        self._counters[STORE_ID] = number

    def change_to(self, counters: memoryview) -> None:
        """Go on in *counters*, a copy."""
        self._counters = counters


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

    def change_to(self, counters: memoryview) -> None:
        """Go on in *counters*, a copy."""
        self._counters = counters

    def _add(self, count: int, first_us: int, last_us: int) -> None:
        counters = self._counters
        if counters[self._count] == 0:
            gap_id = new_record_id().int
            counters[self._id_high] = gap_id >> 64
            counters[self._id_low] = gap_id & 0xFFFF_FFFF_FFFF_FFFF
            counters[self._first] = first_us
        counters[self._last] = last_us
        counters[self._count] += count


class Counts:
    """All counts of one ring."""

    def __init__(self, counters: memoryview) -> None:
        self.refusals = Count(counters, REFUSED)
        """Records for which there was no room."""
        self.beyond_share = Count(counters, BEYOND_SHARE)
        """Records of callers that are not known, beyond their share."""
        self.unprotected = Count(counters, UNPROTECTED)
        """Calls of known callers without a slot that a kill interrupted."""
        self.known_in_flight = Count(counters, KNOWN_IN_FLIGHT)
        self.strangers_in_flight = Count(counters, STRANGERS_IN_FLIGHT)
        """Calls without a slot that have begun and not ended."""
        self.unreadable = Count(counters, UNREADABLE)
        """Messages that may have been tool calls."""

    def change_to(self, counters: memoryview) -> None:
        """Go on in *counters*, a copy."""
        for count in vars(self).values():
            count.change_to(counters)


def _microseconds(moment: datetime | None) -> int:
    """Return *moment* as microseconds since 1970; 0 when there is none or it is earlier."""
    return max((moment - _EPOCH) // timedelta(microseconds=1), 0) if moment else 0


def moment_of(microseconds: int) -> datetime | None:
    """Return the moment so many *microseconds* after 1970; None for 0, or for no date."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds) if microseconds else None
    except OverflowError:  # the header is damaged
        return None
