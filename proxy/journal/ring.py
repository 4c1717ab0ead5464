"""The ring: the newest bytes of the log on tmpfs, where a record survives SIGKILL.

Theory of operation. The log is one endless sequence of lines; an *offset* counts its bytes from
the beginning. The ring holds the newest part of it: the byte at offset *o* lies at `o % size`.
Its header (`ring_header`) holds three positions, each an aligned 8-byte store and so never torn:

    committed  everything before it is in PostgreSQL     (stored by the event loop)
    moved      everything before it is on disk           (stored by the mover's thread)
    written    everything before it was appended         (stored by the event loop)

A line is copied first and `written` advanced after it, so a kill between the two leaves no partial
line. Bytes before `max(moved, committed)` may be overwritten, and can be read until they are. Only
the event loop appends; it takes no lock, because each position has one thread that stores it.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

from proxy.journal.journal_error import RingDamagedError
from proxy.journal.line import MAX_LINE_BYTES, Line, parse
from proxy.journal.mapped import MappedFile, or_closed
from proxy.journal.ring_header import (
    COMMITTED,
    COMMITTED_NUMBER,
    FIRST_NUMBER,
    HEADER_BYTES,
    IDENTITY,
    MAGIC,
    MAGIC_NUMBER,
    MOVED,
    ORIGIN,
    PREDECESSOR,
    SIZE,
    WRITTEN,
    Arrival,
    Beginning,
    Counts,
    Moments,
    Owner,
)

MIN_RING_BYTES: Final = 4 * MAX_LINE_BYTES


class Ring:
    """The ring, and the numbers that must survive the process; see above how they are used."""

    def __init__(self, file: MappedFile, counters: memoryview, content: memoryview) -> None:
        self.path = file.path
        self.size = len(content)
        self.file = file
        self._counters = counters
        self._content = content
        self.identity = counters[IDENTITY]
        """A random number of this ring, also in the marks of the journal folder."""
        self.moments = Moments(counters)
        self.arrival = Arrival(counters)
        self.counts = Counts(counters)

    @classmethod
    def create(cls, path: Path | None, size: int, beginning: Beginning) -> "Ring":
        """Make a ring with *size* bytes for lines.

        Without a *path* it ends with the process. Raise OSError when there is no room.
        """
        made = MappedFile.nameless() if path is None else MappedFile.create(path)
        with or_closed(made) as file:
            try:
                counters = file.words(file.map(0, HEADER_BYTES))
                content = file.map(HEADER_BYTES, size)
            except OSError:
                file.remove()
                raise
            counters[SIZE] = size
            counters[IDENTITY] = beginning.identity
            counters[PREDECESSOR] = beginning.predecessor
            counters[ORIGIN] = start = beginning.start
            counters[FIRST_NUMBER] = counters[COMMITTED_NUMBER] = beginning.number
            counters[WRITTEN] = counters[MOVED] = counters[COMMITTED] = start
            ring = cls(file, counters, content)
            ring.moments.began_at = beginning.moment
            # Last: a ring without the magic number was not completed.
            counters[MAGIC] = MAGIC_NUMBER
            return ring

    @classmethod
    def open(cls, path: Path) -> "Ring":
        """Open the ring of an earlier run; raise FileNotFoundError or RingDamagedError."""
        with or_closed(MappedFile.open(path)) as file:
            size = file.size - HEADER_BYTES
            if size < MIN_RING_BYTES:
                raise RingDamagedError(f"{path} is too short for a journal ring")
            counters = file.words(file.map(0, HEADER_BYTES))
            ring = cls(file, counters, file.map(HEADER_BYTES, size))
            if not ring._makes_sense():
                raise RingDamagedError(f"{path} is not a journal ring, or a damaged one")
            return ring

    def _makes_sense(self) -> bool:
        return (
            self._counters[MAGIC] == MAGIC_NUMBER
            and self._counters[SIZE] == self.size
            and max(self.moved, self.committed, self.origin) <= self.written
            and self.written - self.floor <= self.size
        )

    @property
    def owner(self) -> Owner:
        """The folder that this ring belongs to, as its file says."""
        return Owner.read(self._counters)

    def belong_to(self, owner: Owner) -> None:
        """Name the folder that this ring belongs to in its file."""
        owner.write(self._counters)

    @property
    def origin(self) -> int:
        """The offset at which this ring began; it never held anything before that."""
        return self._counters[ORIGIN]

    @property
    def written(self) -> int:
        """The offset at which the next line begins."""
        return self._counters[WRITTEN]

    @property
    def moved(self) -> int:
        """The offset up to which the log is on disk."""
        return self._counters[MOVED]

    @moved.setter
    def moved(self, offset: int) -> None:
        self._counters[MOVED] = offset

    @property
    def committed(self) -> int:
        """The offset up to which the log is in PostgreSQL."""
        return self._counters[COMMITTED]

    @property
    def committed_number(self) -> int:
        """The number of the line that begins at `committed`; 0 when it is not known."""
        number = self._counters[COMMITTED_NUMBER]
        if not number and self.committed == self.origin:  # of a version before 0.2
            return self._counters[FIRST_NUMBER]
        return number

    def commit(self, offset: int, number: int, moment: datetime | None = None) -> None:
        """Note that everything before *offset*, where line *number* begins, is written.

        *moment* is when its last record arrived, if that is known.
        """
        if moment is not None:
            self.moments.committed = moment
        # In this order: a kill between the two leaves a number that is too high, and a line below
        # the expected number is accepted, while one above it would be reported as a gap.
        self._counters[COMMITTED_NUMBER] = number
        self._counters[COMMITTED] = offset

    @property
    def floor(self) -> int:
        """The offset from which the bytes exist nowhere else and may not be overwritten."""
        return max(self._counters[MOVED], self._counters[COMMITTED])

    def append(self, line: bytes) -> bool:
        """Append *line* if there is room; return whether there was. No system call, no lock."""
        counters = self._counters
        written = counters[WRITTEN]
        length = len(line)
        if written + length - max(counters[MOVED], counters[COMMITTED]) > self.size:
            return False
        at = written % self.size
        if at + length <= self.size:
            self._content[at : at + length] = line
        else:
            fitting = self.size - at
            self._content[at:] = line[:fitting]
            self._content[: length - fitting] = line[fitting:]
        counters[WRITTEN] = written + length
        return True

    def peek(self, start: int, limit: int) -> bytes | None:
        """Return at most *limit* bytes of the log from *start*; None when the ring lacks some."""
        if start < self.origin or start + self.size < self.written:
            return None
        stop = min(self.written, start + limit)
        at, end = start % self.size, start % self.size + stop - start
        data = bytes(self._content[at:end])
        if end > self.size:
            data += self._content[: end - self.size]
        # Checked after the copy, with a margin for one line that may be written meanwhile.
        kept = start >= self.floor or start + self.size >= self.written + MAX_LINE_BYTES
        return data if kept else None

    def last_line(self) -> Line | None:
        """Return the last line appended, even if it was moved; None if the ring has none."""
        reach = min(MAX_LINE_BYTES, self.written - self.origin)
        tail = self.peek(self.written - reach, reach) or b""
        lines = tail.removesuffix(b"\n").rsplit(b"\n", 1)
        return parse(lines[-1])

    def next_number(self) -> int:
        """Return the number that the next line gets, as found when the ring was opened."""
        last = self.last_line()
        return last.n + 1 if last else self._counters[FIRST_NUMBER]

    def change_to(self, twin: MappedFile) -> None:
        """Go on in *twin*. The event loop calls this, so that no line is missed."""
        twin.take_over(self.file)
        header, self._content = twin.regions
        self.file, self._counters = twin, twin.words(header)
        self.moments.change_to(self._counters)
        self.arrival.change_to(self._counters)
        self.counts.change_to(self._counters)

    def close(self) -> None:
        """Unmap the file, and leave it."""
        self.file.close()
