"""Going back in the log: what was committed is read again, as far as the journal still has it."""

from datetime import datetime
from time import monotonic

from proxy.journal.batch_source import BatchSource
from proxy.journal.parts import Parts
from proxy.journal.ring_header import Place
from proxy.journal.rings.rewriting import oldest_kept


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

    def note_seen(self) -> None:
        """Note that the store is there: the time for which segments are kept runs only then."""
        self._ring.moments.store_seen_at = monotonic()

    @property
    def committed(self) -> Place:
        """Up to where everything was appended to the sink."""
        return self._ring.place

    @property
    def arrived(self) -> Place | None:
        """Up to where everything is in PostgreSQL; None if that is `committed`. See `Arrival`."""
        return self._ring.arrival.place

    @arrived.setter
    def arrived(self, place: Place | None) -> None:
        self._ring.arrival.place = place

    @property
    def began_at(self) -> datetime | None:
        """When the log began, or None."""
        return self._marks.began_at

    @property
    def is_possible(self) -> bool:
        """Whether the log can be read from its oldest bytes on.

        It cannot while the disk fails and the ring has lost bytes that were never moved, or the
        segments are not listed.
        """
        return self._segments.is_listed and self._ring.peek(self._ring.moved, 0) is not None

    def go_back(self, place: Place | None = None) -> bool:
        """Commit no more than what lies before *place*, or before the oldest line that is here.

        Return whether lines from *place* on, or from the beginning on, are not here any more.
        Only while `is_possible`.
        """
        oldest = oldest_kept(self._ring, self._segments, self._ring.committed)
        wanted = 0 if place is None else place.offset
        if place is not None and oldest <= wanted:
            self._source.go_back(place)
            return False
        self._source.go_back(Place(oldest, 0, None))
        return oldest > wanted

    def begin_at(self, place: Place) -> None:
        """Note the number of the line at the committed position: *place* is both."""
        self._source.go_back(place)
