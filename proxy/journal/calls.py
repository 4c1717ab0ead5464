"""Calls in flight: one slot each in a mapped file, so that a killed sidecar can tell of them.

A slot holds the record of its call as it reads when nobody ever learns how the call ended. It is
made free again once the real record has been appended. Slots found taken at a start are therefore
the calls that were interrupted by a kill, with no pairing of beginnings and endings.

Within a slot the body is written first and its length and CRC-32 last, in one aligned 8-byte
store: a slot is either free or whole.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from audit_log.record import AuditRecord, Invocation, Kept
from proxy.audit.record import RecordText
from proxy.journal.journal_error import RingDamagedError
from proxy.journal.line import record_body
from proxy.journal.mapped import MappedFile, or_closed

SLOT_BYTES: Final = 4_096
"""Takes any call whose path is ASCII whole; of others, texts may be cut (see `record_body`)."""
SLOTS_PER_REGION: Final = 1_024
MAX_REGIONS: Final = 16
_REGION_BYTES: Final = SLOT_BYTES * SLOTS_PER_REGION
_MARK_BYTES: Final = 8
_BODY_BYTES: Final = SLOT_BYTES - _MARK_BYTES
_MARKS_PER_SLOT: Final = SLOT_BYTES // _MARK_BYTES
_INVOCATION: Final = 1 << 31
"""Set in the length of a slot that holds an invocation instead of a record."""
_decode_record = msgspec.json.Decoder(AuditRecord).decode
_decode_invocation = msgspec.json.Decoder(Invocation).decode


class Calls:
    """The slots. Only the event loop takes, fills and frees; only the mover's thread adds some."""

    def __init__(self, file: MappedFile) -> None:
        self.path = file.path
        self._file = file
        self._bodies: list[memoryview] = []
        self._marks: list[memoryview] = []
        self._free: list[int] = []
        self._can_grow = True

    @classmethod
    def open(cls, path: Path) -> "Calls":
        """Open the slots of an earlier run, or make some; raise OSError or RingDamagedError."""
        try:
            file = MappedFile.open(path)
        except FileNotFoundError:
            file = MappedFile.create(path)
        with or_closed(file):
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

    def begin(self, record: Kept | RecordText) -> int:
        """Put *record* into a slot and return it, or -1 when none is free."""
        if not self._free:
            return -1
        slot = self._free.pop()
        body = record_body(record, _BODY_BYTES)
        region, index = divmod(slot, SLOTS_PER_REGION)
        at = index * SLOT_BYTES + _MARK_BYTES
        self._bodies[region][at : at + len(body)] = body
        length = len(body) | (_INVOCATION if isinstance(record, Invocation) else 0)
        self._marks[region][index * _MARKS_PER_SLOT] = length << 32 | zlib.crc32(body)
        return slot

    def end(self, slot: int) -> None:
        """Free *slot*."""
        region, index = divmod(slot, SLOTS_PER_REGION)
        self._marks[region][index * _MARKS_PER_SLOT] = 0
        self._free.append(slot)

    def taken(self) -> Iterator[tuple[int, Kept]]:
        """Yield the slots that are taken, with their records; free those that make no sense."""
        for slot in sorted(set(range(len(self._bodies) * SLOTS_PER_REGION)) - set(self._free)):
            record = self._record(slot)
            if record is None:
                self.end(slot)
            else:
                yield slot, record

    def _record(self, slot: int) -> Kept | None:
        region, index = divmod(slot, SLOTS_PER_REGION)
        length, crc = divmod(self._marks[region][index * _MARKS_PER_SLOT], 1 << 32)
        at = index * SLOT_BYTES + _MARK_BYTES
        decode = _decode_invocation if length & _INVOCATION else _decode_record
        body = bytes(self._bodies[region][at : at + min(length & ~_INVOCATION, _BODY_BYTES)])
        try:
            return decode(body) if zlib.crc32(body) == crc else None
        except (ValueError, RecursionError):
            return None

    def grow_when_short(self) -> None:
        """Add slots when less than half of a region is left. Calls wait for nothing meanwhile."""
        if self._can_grow and len(self._free) < SLOTS_PER_REGION // 2:
            try:
                self._add_region()
            except OSError:
                # No room on tmpfs: from here on calls beyond the slots we have are unprotected.
                self._can_grow = False

    def _add_region(self) -> None:
        number = len(self._bodies)
        body = self._file.map(number * _REGION_BYTES, _REGION_BYTES)
        marks = self._file.words(body)
        self._bodies.append(body)
        self._marks.append(marks)
        first = number * SLOTS_PER_REGION
        # Taken ones of an earlier run are not free; lowest last, so that few pages are in use.
        self._free[:0] = [
            first + index
            for index in reversed(range(SLOTS_PER_REGION))
            if marks[index * _MARKS_PER_SLOT] == 0
        ]
        self._can_grow = number + 1 < MAX_REGIONS

    def close(self) -> None:
        """Unmap; the file stays."""
        self._file.close()

    def remove(self) -> None:
        """Take the file away: no slot in it is taken."""
        self.path.unlink(missing_ok=True)
