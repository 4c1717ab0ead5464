"""The ring: the newest bytes of the log on tmpfs, where a record survives SIGKILL.

Theory of operation. The log is one endless sequence of lines; an *offset* counts its bytes from
the beginning. The ring holds the newest part of it: the byte at offset *o* lies at `o % size`.
Its header (`ring_header`) holds three positions, each an aligned 8-byte store and so never torn:

    committed  everything before it is in PostgreSQL     (stored by the recorder's event loop)
    moved      everything before it is on disk           (stored by the recorder's mover)
    written    everything before it was appended         (stored by the proxy's event loop)

A line is copied first and `written` advanced after it, so a kill between the two leaves no partial
line. Bytes before `max(moved, committed)` may be overwritten, and can be read until they are. Only
the event loop of the proxy appends; it takes no lock, because each position has one thread of one
process that stores it.
"""

import platform
import threading
from pathlib import Path
from typing import Final

from proxy.journal.journal_error import RingDamagedError
from proxy.journal.line import MAX_LINE_BYTES, Line, parse
from proxy.journal.mapped import MappedFile, or_closed
from proxy.journal.ring_header import (
    ARRIVED,
    ARRIVED_NUMBER,
    ARRIVED_US,
    COMMITTED,
    COMMITTED_NUMBER,
    COMMITTED_US,
    FIRST_NUMBER,
    HEADER_BYTES,
    IDENTITY,
    IS_RENEWED,
    MAGIC,
    MAGIC_NUMBER,
    MOVED,
    OBSERVED,
    ORIGIN,
    PREDECESSOR,
    SIZE,
    STORE_ID,
    WRITTEN,
    Arrival,
    Beginning,
    Counts,
    Owner,
)
from proxy.journal.rings.positions import Positions

MIN_RING_BYTES: Final = 4 * MAX_LINE_BYTES
_STRONGLY_ORDERED: Final = frozenset({"x86_64", "amd64", "i686", "s390x"})
_READERS_WORDS: Final = (
    *(MOVED, COMMITTED_NUMBER, COMMITTED, COMMITTED_US, STORE_ID),
    *(ARRIVED_NUMBER, ARRIVED_US, ARRIVED, OBSERVED),
)
"""What the reading side of the journal stores."""
_RENEWED, _FOLLOWED = 1, 2
"""A new file is in place of this one. Followed: it has the positions of the reading side."""


def _fence() -> "threading.Lock | None":
    """Return what keeps loads and stores in order between two processes; None if the machine does.

    To release a lock and to take it again lets no store before the two pass a store behind them,
    and no load behind them pass a load before.
    """
    if platform.machine().lower() in _STRONGLY_ORDERED:
        return None
    lock = threading.Lock()
    lock.acquire()
    return lock


_FENCE: Final = _fence()


class Ring(Positions):
    """The ring, and the numbers that must survive the process; see above how they are used."""

    def __init__(self, file: MappedFile, counters: memoryview, content: memoryview) -> None:
        super().__init__(counters)
        self.path = file.path
        self.size = len(content)
        self.file = file
        self._content = content
        self.identity = counters[IDENTITY]
        """A random number of this ring, also in the marks of the journal folder."""
        self.opened_number = 0
        """The number that the next line had when the ring was begun, or opened."""
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
            counters[OBSERVED] = start + 1
            counters[FIRST_NUMBER] = counters[COMMITTED_NUMBER] = beginning.number
            counters[WRITTEN] = counters[MOVED] = counters[COMMITTED] = start
            ring = cls(file, counters, content)
            ring.moments.began_at = beginning.moment
            ring.opened_number = beginning.number
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
            ring.opened_number = ring.next_number()
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
        if _FENCE is not None:
            _FENCE.release()
            _FENCE.acquire()
        counters[WRITTEN] = written + length
        return True

    def peek(self, start: int, limit: int) -> bytes | None:
        """Return at most *limit* bytes of the log from *start*; None when the ring lacks some."""
        if start < self.origin or start + self.size < self.written:
            return None
        stop = min(self.written, start + limit)
        if _FENCE is not None:
            _FENCE.release()
            _FENCE.acquire()
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
        self._go_on_in(twin)

    def tell_of_twin(self) -> None:
        """Tell the processes that have the former file mapped that this one is in its place."""
        if self.file.former is not None:
            words = self.file.former.regions[0].cast("Q")
            words[IS_RENEWED] = words[IS_RENEWED] or _RENEWED

    @property
    def is_renewed(self) -> bool:
        """Whether another process goes on in a new file at `path`."""
        return self._counters[IS_RENEWED] != 0

    def follow(self) -> None:
        """Go on in the new file at `path`; raise OSError while that cannot be opened.

        The reading side brings its positions along, once: a recorder that is started again has the
        former file mapped too, whose positions are of the past.
        """
        if self.path is None:
            return
        with or_closed(MappedFile.open(self.path)) as twin:
            for region in self.file.regions:
                twin.map(sum(map(len, twin.regions)), len(region))
            twin.former = self.file
        former = self._counters
        self._go_on_in(twin)
        if former[IS_RENEWED] == _RENEWED:
            for word in _READERS_WORDS:
                self._counters[word] = former[word]
            former[IS_RENEWED] = _FOLLOWED

    def _go_on_in(self, twin: MappedFile) -> None:
        header, self._content = twin.regions
        self.file, self._counters = twin, twin.words(header)
        self.moments.change_to(self._counters)
        self.arrival.change_to(self._counters)
        self.counts.change_to(self._counters)

    def close(self) -> None:
        """Unmap the file, and leave it."""
        self.file.close()
