"""The leaves of one log as the database gives them, place by place, in a temporary file.

Ten million leaves take 320 MB of disk and page cache, and 50 MB of memory for marks and times.
"""

import mmap
from array import array
from collections.abc import Iterator, Sequence
from enum import IntEnum
from tempfile import TemporaryFile
from types import TracebackType
from typing import Final, Self

from audit_log.seal.encoding import HASH_BYTES
from audit_log.verify.roots import TILE

ROW: Final = 0x01
"""A row has this place."""
TWICE: Final = 0x02
"""Several rows have it."""
FILLED: Final = 0x04
"""Only the stored tile gives its hash: the row is gone."""
CLASH: Final = 0x08
"""Row and note, or two notes, say different things."""
_KIND: Final = 4


class Noted(IntEnum):
    """What a note says of a place: in the upper four bits of its mark."""

    NOTHING = 0
    TIMES = 1
    EVENT = 2
    MISSING = 3
    VOID = 4
    UNSEALED = 5
    QUARANTINED = 6
    ENTRY = 7
    TOOL_CALL = 8
    GAP = 9
    OTHER = 10
    BEFORE = 11
    """An earlier run has verified it."""
    READ = 12


NO_LINE: Final = frozenset({Noted.MISSING, Noted.VOID, Noted.UNSEALED})
"""Where nothing is said of the row that may stand there."""


class LeafFile:
    """Hashes, marks and seconds of the places from `base`, a multiple of 256, up to `size`."""

    def __init__(self, base: int, size: int, known: bytes = b"") -> None:
        """Begin with the hashes that are *known*, of an earlier run: nothing has to give them."""
        start = base + len(known) // HASH_BYTES
        assert base % TILE == 0 <= base <= start <= size
        self.base, self.start, self.size = base, start, size
        # The mapping keeps the file, which has no name, until it is closed.
        with TemporaryFile(prefix="podwarden-audit-verify-") as file:
            file.truncate(max(size - base, 1) * HASH_BYTES)
            self.hashes = mmap.mmap(file.fileno(), 0)
        self.marks = bytearray(size - base)
        self.seconds = array("I", bytes(4 * (size - base)))
        """When each row was created, in Unix seconds; 0 when there is no row."""
        self.hashes[: len(known)] = known
        self.marks[: start - base] = bytes([Noted.BEFORE << _KIND]) * (start - base)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.hashes.close()

    def put_rows(
        self, places: Sequence[int], leaves: Sequence[bytes], seconds: Sequence[int]
    ) -> list[tuple[int, bytes]]:
        """Note rows that lie in this file; return those whose place has a row already."""
        hashes, marks, times, base = self.hashes, self.marks, self.seconds, self.base
        twice = []
        for place, leaf, second in zip(places, leaves, seconds, strict=True):
            at = place - base
            if marks[at]:
                marks[at] |= TWICE
                twice.append((place, leaf))
                continue
            hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES] = leaf
            marks[at] = ROW
            times[at] = second
        return twice

    def put_note(self, place: int, leaf: bytes, noted: Noted, *, clashes: bool = False) -> None:
        """Note that a note gives the leaf of *place*, whether a row has it too or not."""
        at = place - self.base
        self.hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES] = leaf
        kept = self.marks[at] & (ROW | TWICE | CLASH)
        self.marks[at] = kept | noted << _KIND | (CLASH if clashes else 0)

    def fill(self, place: int, leaf: bytes) -> None:
        """Take the hash of a *place* that neither row nor note gives from a stored tile."""
        at = place - self.base
        self.hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES] = leaf
        self.marks[at] = FILLED

    def leaf(self, place: int) -> bytes | None:
        """Return the hash at *place*; None if nothing gives it."""
        at = place - self.base
        if not self.marks[at]:
            return None
        return self.hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]

    def leaves(self, start: int, end: int) -> bytes:
        """Return the hashes of the places from *start* to *end*."""
        return self.hashes[(start - self.base) * HASH_BYTES : (end - self.base) * HASH_BYTES]

    def marks_of(self, start: int, end: int) -> bytearray:
        """Return the marks of the places from *start* to *end*."""
        return self.marks[start - self.base : end - self.base]

    def mark(self, place: int) -> int:
        """Return the mark of *place*: flags, and in the upper bits a `Noted`."""
        return self.marks[place - self.base]

    def noted(self, place: int) -> Noted:
        """Return what a note says of *place*."""
        return Noted(self.marks[place - self.base] >> _KIND)

    def bears_row(self, place: int) -> bool:
        """Say whether a row has *place* that was sealed there; what lies outside may have one."""
        if not self.start <= place < self.size:
            return True
        return bool(self.mark(place) & ROW) and self.noted(place) not in NO_LINE

    def count(self, noted: Noted) -> int:
        """Return how many places have a note of this kind."""
        return sum(self.marks.count(noted << _KIND | flags) for flags in range(1 << _KIND))

    def places(self, noted: Noted) -> Iterator[int]:
        """Yield the places that have a note of this kind."""
        if self.count(noted):
            yield from (
                self.base + at for at, mark in enumerate(self.marks) if mark >> _KIND == noted
            )

    @property
    def rows(self) -> int:
        """How many places have a row."""
        return sum(self.marks.count(mark) for mark in range(256) if mark & ROW)
