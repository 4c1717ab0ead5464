"""Going back in the log: what was committed is read again, as far as the journal still has it."""

from dataclasses import dataclass
from datetime import datetime

from proxy.journal.batch_source import BatchSource
from proxy.journal.parts import Parts
from proxy.journal.rings.rewriting import kept_lines


@dataclass(frozen=True, slots=True)
class Before:
    """Lines that were before the oldest that the journal still has."""

    began_at: datetime | None
    """When the first of them may have been appended; None when that is not known."""


class GoingBack:
    """Moves the committed position back. Belongs to the event loop; reads no records itself."""

    def __init__(self, parts: Parts, source: BatchSource) -> None:
        self._ring = parts.ring
        self._segments = parts.segments
        self._marks = parts.folder.marks
        self._source = source

    @property
    def store_id(self) -> int:
        """The store that has what is committed; 0 when not known. It outlives a kill."""
        return self._ring.moments.store_id

    @store_id.setter
    def store_id(self, number: int) -> None:
        self._ring.moments.store_id = number

    @property
    def is_possible(self) -> bool:
        """Whether the log can be read from its oldest bytes on.

        It cannot while the disk fails and the ring has lost bytes that were never moved.
        """
        return self._ring.peek(self._ring.moved, 0) is not None

    def go_back(self) -> Before | None:
        """Commit no more than what lies before the oldest line that is still here.

        Return what was before that line, or None if it is the journal's first. Only while
        `is_possible`.
        """
        at, lines = kept_lines(self._ring, 0, 1)
        in_ring = at if lines else self._ring.committed
        on_disk = next((segment.start for segment in self._segments), in_ring)
        oldest = min(in_ring, on_disk, self._ring.committed)
        self._source.go_back(oldest)
        return Before(self._marks.began_at) if oldest else None
