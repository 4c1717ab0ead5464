"""The ring: a ring of log bytes on tmpfs, where a record is safe from SIGKILL in a microsecond.

Theory of operation. The log is one endless string of lines; an *offset* counts bytes from its
very beginning. The ring holds the youngest part of it: the byte at offset *o* lies at
`o % size`. Four offsets, each one aligned 8-byte store in the mapped header and so never torn:

    committed  everything before it is in PostgreSQL     (stored by the event loop)
    moved      everything before it was moved to disk    (stored by the mover's thread)
    written    everything before it was appended         (stored by the event loop)

A line is copied first and `written` raised after it, so that a kill between the two leaves no
half a line behind. Bytes before `max(moved, committed)` may be overwritten, and are of use until
they are. Only the event loop appends.
"""

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from audit_log.record import new_record_id
from proxy.journal.journal_error import RingDamagedError
from proxy.journal.line import MAX_LINE_BYTES, Line, parse
from proxy.journal.mapped import MappedFile, or_closed

MIN_RING_BYTES: Final = 4 * MAX_LINE_BYTES
_HEADER_BYTES: Final = mmap.PAGESIZE
_MAGIC: Final = int.from_bytes(b"pwaudit1", "big")
(
    _MAGIC_AT,
    _IDENTITY,
    _SIZE,
    _ORIGIN,
    _FIRST_NUMBER,
    _WRITTEN,
    _MOVED,
    _COMMITTED,
    _COMMITTED_NUMBER,
    _REFUSED,
    _REFUSED_FIRST,
    _REFUSED_LAST,
    _GAP_HIGH,
    _GAP_LOW,
) = range(14)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Records that found no room, not yet reported as a gap."""

    count: int
    first_us: int
    last_us: int
    gap_id: UUID
    """Given with the first refusal, so that reporting twice after a kill is harmless."""


class Ring:
    """The ring, and the numbers that must survive us: see the head of this module."""

    def __init__(self, file: MappedFile, counters: memoryview, content: memoryview) -> None:
        self.path = file.path
        self.size = len(content)
        self._file = file
        self._counters = counters
        self._content = content

    @classmethod
    def create(cls, path: Path, size: int, *, identity: int, start: int, number: int) -> "Ring":
        """Make a ring whose first line will be *number* at offset *start*; OSError if no room."""
        with or_closed(MappedFile.create(path)) as file:
            try:
                counters = file.words(file.map(0, _HEADER_BYTES))
                content = file.map(_HEADER_BYTES, size)
            except OSError:
                path.unlink()
                raise
            counters[_SIZE] = size
            counters[_IDENTITY] = identity
            counters[_ORIGIN] = start
            counters[_FIRST_NUMBER] = number
            counters[_WRITTEN] = counters[_MOVED] = counters[_COMMITTED] = start
            # Last: a ring without it was never begun.
            counters[_MAGIC_AT] = _MAGIC
            return cls(file, counters, content)

    @classmethod
    def open(cls, path: Path) -> "Ring":
        """Open the ring of an earlier run; raise FileNotFoundError or RingDamagedError."""
        with or_closed(MappedFile.open(path)) as file:
            size = file.size - _HEADER_BYTES
            if size < MIN_RING_BYTES:
                raise RingDamagedError(f"{path} is too short for a journal ring")
            counters = file.words(file.map(0, _HEADER_BYTES))
            ring = cls(file, counters, file.map(_HEADER_BYTES, size))
            if not ring._makes_sense():
                raise RingDamagedError(f"{path} is not a journal ring, or a damaged one")
            return ring

    def _makes_sense(self) -> bool:
        return (
            self._counters[_MAGIC_AT] == _MAGIC
            and self._counters[_SIZE] == self.size
            and max(self.moved, self.committed, self.origin) <= self.written
            and self.written - self.floor <= self.size
        )

    @property
    def identity(self) -> int:
        """A number of this ring's own, also kept in the journal folder's running mark."""
        return self._counters[_IDENTITY]

    @property
    def origin(self) -> int:
        """Where the log was when this ring was made: nothing before it was ever in here."""
        return self._counters[_ORIGIN]

    @property
    def written(self) -> int:
        """Where the next line will begin."""
        return self._counters[_WRITTEN]

    @property
    def moved(self) -> int:
        """Up to where the log was moved to disk."""
        return self._counters[_MOVED]

    @moved.setter
    def moved(self, offset: int) -> None:
        self._counters[_MOVED] = offset

    @property
    def committed(self) -> int:
        """Up to where the log is in PostgreSQL."""
        return self._counters[_COMMITTED]

    @property
    def committed_number(self) -> int:
        """The number of the line that begins at `committed`; 0 when it is not known."""
        return self._counters[_COMMITTED_NUMBER]

    def commit(self, offset: int, number: int) -> None:
        """Note that everything before *offset*, where line *number* begins, is written."""
        # In this order: a kill between the two leaves a number that is too high, and lines below
        # the expected number are taken without complaint.
        self._counters[_COMMITTED_NUMBER] = number
        self._counters[_COMMITTED] = offset

    @property
    def floor(self) -> int:
        """Where the bytes begin that exist nowhere else and may not be overwritten."""
        return max(self._counters[_MOVED], self._counters[_COMMITTED])

    def append(self, line: bytes) -> bool:
        """Append *line* if there is room; say whether there was. No system call, no lock."""
        counters = self._counters
        written = counters[_WRITTEN]
        length = len(line)
        if written + length - max(counters[_MOVED], counters[_COMMITTED]) > self.size:
            return False
        at = written % self.size
        if at + length <= self.size:
            self._content[at : at + length] = line
        else:
            fitting = self.size - at
            self._content[at:] = line[:fitting]
            self._content[: length - fitting] = line[fitting:]
        counters[_WRITTEN] = written + length
        return True

    def peek(self, start: int, limit: int) -> bytes | None:
        """Return at most *limit* log bytes from *start*, or None when some are not here."""
        if start < self.origin or start + self.size < self.written:
            return None
        stop = min(self.written, start + limit)
        at, end = start % self.size, start % self.size + stop - start
        data = bytes(self._content[at:end])
        if end > self.size:
            data += self._content[: end - self.size]
        # Asked after copying, and with room for the one line that may be on its way in.
        kept = start >= self.floor or start + self.size >= self.written + MAX_LINE_BYTES
        return data if kept else None

    def last_line(self) -> Line | None:
        """Return the last line that was appended, also when it has been moved; None if none."""
        reach = min(MAX_LINE_BYTES, self.written - self.origin)
        tail = self.peek(self.written - reach, reach) or b""
        lines = tail.removesuffix(b"\n").rsplit(b"\n", 1)
        return parse(lines[-1])

    def next_number(self) -> int:
        """Return the number of the line that will be appended next, as found at open."""
        last = self.last_line()
        return last.n + 1 if last else self._counters[_FIRST_NUMBER]

    def refuse(self, now_us: int) -> None:
        """Count a record for which there was no room."""
        counters = self._counters
        if counters[_REFUSED] == 0:
            gap_id = new_record_id().int
            counters[_GAP_HIGH] = gap_id >> 64
            counters[_GAP_LOW] = gap_id & 0xFFFF_FFFF_FFFF_FFFF
            counters[_REFUSED_FIRST] = now_us
        counters[_REFUSED_LAST] = now_us
        counters[_REFUSED] += 1

    def refusals(self) -> Refusals | None:
        """Return what was refused since `forget_refusals`, or None."""
        counters = self._counters
        if counters[_REFUSED] == 0:
            return None
        return Refusals(
            count=counters[_REFUSED],
            first_us=counters[_REFUSED_FIRST],
            last_us=counters[_REFUSED_LAST],
            gap_id=UUID(int=counters[_GAP_HIGH] << 64 | counters[_GAP_LOW]),
        )

    def forget_refusals(self) -> None:
        """The refusals have been reported."""
        self._counters[_REFUSED] = 0

    def close(self) -> None:
        """Unmap; the file stays."""
        self._file.close()

    def remove(self) -> None:
        """Take the file away: everything in it is elsewhere."""
        self.path.unlink(missing_ok=True)
