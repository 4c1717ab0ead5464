"""Calls in flight: a slot for each in a mapped file, which survives a kill.

Theory of operation. A slot holds the record of its call as it will be if the sidecar is killed
now: `interrupted`, or `unknown` for a tool call that goes on unseen. The slot is freed when the
final record has been appended to the ring. The slots that a start finds taken are therefore the
calls that a kill interrupted; beginnings and ends need not be paired.

In a slot the body is written first. Its length and CRC-32 follow in one aligned 8-byte store, the
mark. A mark of 0 means that the slot is free, so a slot is either free or complete.

Each caller has a share of the slots (`Shares`). Those that are not known leave half a region free
as well, so that known callers find a slot while more are added.
"""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from audit_log.record import AuditRecord, Invocation, Kept
from proxy.audit.record_text import RecordText
from proxy.audit.shares import Share, Shares, Standing
from proxy.journal.journal_error import RingDamagedError
from proxy.journal.line_text import is_invocation, record_body
from proxy.journal.mapped import MappedFile, or_closed

SLOT_BYTES: Final = 4_096
"""Holds a call with an ASCII path completely; other texts may be cut (see `record_body`)."""
SLOTS_PER_REGION: Final = 1_024
MAX_REGIONS: Final = 16
STRANGERS_SLOTS: Final = 2_048
"""For all callers together that are not known."""
_RESERVE: Final = SLOTS_PER_REGION // 2
_KNOWN: Final = Standing.KNOWN
_REGION_BYTES: Final = SLOT_BYTES * SLOTS_PER_REGION
_MARK_BYTES: Final = 8
_BODY_BYTES: Final = SLOT_BYTES - _MARK_BYTES
_MARKS_PER_SLOT: Final = SLOT_BYTES // _MARK_BYTES
_HALF_BYTES: Final = _BODY_BYTES // 2
_INVOCATION: Final = 1 << 31
"""Set in the length of a slot that holds an invocation instead of a record."""
_SECOND_HALF: Final = 1 << 30
"""Set in the length of a slot whose body begins at `_HALF_BYTES`."""
_LENGTH: Final = _SECOND_HALF - 1
_decode_record = msgspec.json.Decoder(AuditRecord).decode
_decode_invocation = msgspec.json.Decoder(Invocation).decode


def _stay() -> None:
    """Add no slots: nothing looks after them."""


class Calls:
    """The slots. The event loop takes, fills and frees them; a thread adds some."""

    def __init__(self, file: MappedFile) -> None:
        self.path = file.path
        self.file = file
        self._bodies: list[memoryview] = []
        self._marks: list[memoryview] = []
        self._free: list[int] = []
        self._shares = Shares(MAX_REGIONS * SLOTS_PER_REGION, STRANGERS_SLOTS)
        self._holders: list[Share | None] = []
        """Whose share a slot counts in. Those of an earlier run count in none."""
        self._can_grow = True
        self.wants_slots: Callable[[], None] = _stay
        """Called when less than half a region is free, and there may be more."""

    @classmethod
    def open(cls, path: Path | None) -> "Calls":
        """Open the slots of an earlier run, or make some; raise OSError or RingDamagedError.

        Without a *path* they end with the process.
        """
        with or_closed(_file(path)) as file:
            regions, rest = divmod(file.size, _REGION_BYTES)
            if rest or regions > MAX_REGIONS:
                raise RingDamagedError(f"{path} does not hold calls in flight")
            calls = cls(file)
            for _ in range(regions or 1):
                calls._add_region()
            return calls

    @property
    def in_flight(self) -> int:
        """How many slots are taken."""
        return len(self._bodies) * SLOTS_PER_REGION - len(self._free)

    def begin(self, record: Kept | RecordText, share: Share | None = None) -> int:
        """Put *record* into a free slot and return its number.

        Return -1 when none is free, or *share* is used up.
        """
        free = self._free
        if share is None:
            if not free:
                return -1
        elif len(free) <= (0 if share.standing is _KNOWN else _RESERVE) or not self._shares.take(
            share
        ):
            return -1
        slot = free.pop()
        if len(free) <= _RESERVE and self._can_grow:
            self.wants_slots()
        self._holders[slot] = share
        body = record_body(record, _BODY_BYTES)
        self._fill(slot, body, _INVOCATION if is_invocation(record) else 0, 0)
        return slot

    def change(self, slot: int, record: Kept) -> None:
        """Put *record* into *slot*, which is taken, instead of what it holds.

        Two records that take half a slot each, which is the rule, lie in it in turns: a kill in
        between leaves the one before. Of a longer one it leaves none.
        """
        region, index = divmod(slot, SLOTS_PER_REGION)
        length = self._marks[region][index * _MARKS_PER_SLOT] >> 32
        body = record_body(record, _BODY_BYTES)
        kind = _INVOCATION if is_invocation(record) else 0
        if max(len(body), length & _LENGTH) <= _HALF_BYTES:
            kind |= ~length & _SECOND_HALF
        else:
            self._marks[region][index * _MARKS_PER_SLOT] = 0
        self._fill(slot, body, kind, _HALF_BYTES if kind & _SECOND_HALF else 0)

    def _fill(self, slot: int, body: bytes, kind: int, offset: int) -> None:
        region, index = slot // SLOTS_PER_REGION, slot % SLOTS_PER_REGION
        at = index * SLOT_BYTES + _MARK_BYTES + offset
        self._bodies[region][at : at + len(body)] = body
        mark = (len(body) | kind) << 32 | zlib.crc32(body)
        self._marks[region][index * _MARKS_PER_SLOT] = mark

    def end(self, slot: int) -> None:
        """Free *slot*."""
        region, index = slot // SLOTS_PER_REGION, slot % SLOTS_PER_REGION
        self._marks[region][index * _MARKS_PER_SLOT] = 0
        self._free.append(slot)
        share = self._holders[slot]
        if share is not None:
            self._holders[slot] = None
            self._shares.give_back(share)

    def taken(self) -> Iterator[tuple[int, Kept]]:
        """Yield the taken slots with their records; free those that cannot be read."""
        for slot in sorted(set(range(len(self._bodies) * SLOTS_PER_REGION)) - set(self._free)):
            record = self._record(slot)
            if record is None:
                self.end(slot)
            else:
                yield slot, record

    def _record(self, slot: int) -> Kept | None:
        region, index = divmod(slot, SLOTS_PER_REGION)
        length, crc = divmod(self._marks[region][index * _MARKS_PER_SLOT], 1 << 32)
        at = index * SLOT_BYTES + _MARK_BYTES + (_HALF_BYTES if length & _SECOND_HALF else 0)
        decode = _decode_invocation if length & _INVOCATION else _decode_record
        body = bytes(self._bodies[region][at : at + min(length & _LENGTH, _BODY_BYTES)])
        try:
            return decode(body) if zlib.crc32(body) == crc else None
        except (ValueError, RecursionError):
            return None

    @property
    def is_short(self) -> bool:
        """Whether less than half a region is free, and there may be more."""
        return len(self._free) <= _RESERVE and self._can_grow

    def add_region(self) -> None:
        """Add slots. Calls go on meanwhile, and do not wait for it."""
        try:
            self._add_region()
        except OSError:
            # No room on tmpfs: from now on a call that finds no slot is unprotected.
            self._can_grow = False
            self._shares.total = len(self._bodies) * SLOTS_PER_REGION

    def _add_region(self) -> None:
        number = len(self._bodies)
        body = self.file.map(number * _REGION_BYTES, _REGION_BYTES)
        marks = self.file.words(body)
        self._bodies.append(body)
        self._marks.append(marks)
        self._holders += [None] * SLOTS_PER_REGION
        first = number * SLOTS_PER_REGION
        # Slots that an earlier run took are not free. The lowest is last, and so taken first: few
        # pages are in use.
        self._free[:0] = [
            first + index
            for index in reversed(range(SLOTS_PER_REGION))
            if marks[index * _MARKS_PER_SLOT] == 0
        ]
        self._can_grow = number + 1 < MAX_REGIONS

    def change_to(self, twin: MappedFile) -> None:
        """Go on in *twin*. The event loop calls this, so that no call is missed."""
        twin.take_over(self.file)
        self.file = twin
        self._bodies = list(twin.regions)
        self._marks = [twin.words(body) for body in self._bodies]

    def close(self) -> None:
        """Unmap the file, and leave it."""
        self.file.close()


def _file(path: Path | None) -> MappedFile:
    if path is None:
        return MappedFile.nameless()
    try:
        return MappedFile.open(path)
    except FileNotFoundError:
        return MappedFile.create(path)
