"""A ring as a file: what its header says, read without mapping it or changing anything."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from proxy.journal.line import parse
from proxy.journal.mapped import is_in_use
from proxy.journal.ring_header import (
    COMMITTED,
    COUNTS,
    HEADER_BYTES,
    IDENTITY,
    IS_REPORTED,
    MAGIC,
    MAGIC_NUMBER,
    MOVED,
    ORIGIN,
    PREDECESSOR,
    WRITTEN,
    Count,
    Counted,
    Owner,
    moment_of,
)
from proxy.journal.rings.placement import RING_PATTERN


@dataclass(frozen=True, slots=True)
class Unmoved:
    """Records that only a ring holds, or has counted and not reported."""

    count: int | None
    """None when the ring's numbers make no sense."""
    oldest: datetime | None = None
    newest: datetime | None = None


@dataclass(frozen=True, slots=True)
class RingFile:
    """The file of a ring: where it is, and what its header says."""

    path: Path
    size: int
    is_begun: bool
    """Whether its header says anything; else no line was ever written to it."""
    is_complete: bool
    """Whether its header is that of a ring."""
    identity: int
    origin: int
    written: int
    floor: int
    """The offset from which only this ring has the log."""
    predecessor: int
    """The identity of the last ring of the folder when this one was made; 0 for none."""
    is_reported: bool
    """Whether a gap has told of its lines."""
    owner: Owner
    counted: tuple[Counted, ...]
    """Records that were not kept, and that no gap has told of."""

    def unmoved(self) -> Unmoved:
        """Return what is lost with the file; raise OSError when it cannot be read."""
        size, length = self.size - HEADER_BYTES, self.written - self.floor
        if not self.is_begun:
            return Unmoved(0)
        if not self.is_complete or not 0 <= length <= size:
            return Unmoved(None)
        content = self.path.read_bytes()[HEADER_BYTES:]
        at = self.floor % size
        # Twice, because the log goes on at the beginning of the file.
        lines = (content + content)[at : at + length].split(b"\n")
        said = [line for line in map(parse, lines) if line is not None and line.event is None]
        moments = [line.moment for line in said]
        for counted in self.counted:
            moments += [moment_of(counted.first_us), moment_of(counted.last_us)]
        known = [moment for moment in moments if moment is not None]
        return Unmoved(
            len(said) + sum(counted.count for counted in self.counted),
            min(known, default=None),
            max(known, default=None),
        )

    def is_in_use(self) -> bool:
        """Return whether a process has it open; raise OSError when that cannot be told."""
        return is_in_use(self.path, takes_lock=bool(self.owner.folder_id))

    def note_reported(self) -> None:
        """Note in the file that a gap has told of its lines."""
        with self.path.open("r+b") as file:
            file.seek(8 * IS_REPORTED)
            file.write((1).to_bytes(8, "little"))


def rings_in(directories: Iterable[Path]) -> Iterator[RingFile]:
    """Yield the rings of this user in *directories*; what cannot be read is left out."""
    for directory in directories:
        with suppress(OSError):
            for path in sorted(directory.glob(RING_PATTERN)):
                if found := ring_file(path):
                    yield found


def ring_file(path: Path) -> RingFile | None:
    """Return the ring in the file *path*; None for anything else, or a file of another user."""
    with suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(file)
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                return _read(path, found.st_size, os.pread(file, HEADER_BYTES, 0))
        finally:
            os.close(file)
    return None


def _read(path: Path, size: int, header: bytes) -> RingFile:
    words = memoryview(header.ljust(HEADER_BYTES, b"\0")).cast("Q")
    return RingFile(
        path=path,
        size=size,
        is_begun=any(header),
        is_complete=words[MAGIC] == MAGIC_NUMBER,
        identity=words[IDENTITY],
        origin=words[ORIGIN],
        written=words[WRITTEN],
        floor=max(words[MOVED], words[COMMITTED]),
        predecessor=words[PREDECESSOR],
        is_reported=bool(words[IS_REPORTED]),
        owner=Owner.read(words),
        counted=tuple(
            counted for at in COUNTS if (counted := Count(words, at).pending()) is not None
        ),
    )
