"""Which ring a journal goes on with: decided by what the folder and the rings say. Does no I/O.

Theory of operation. A ring and its folder carry the same id, so a ring proves that it belongs to
the folder although no mark could be written. A ring also names its *predecessor*: the last ring
that had left a mark in the folder when it was made. It therefore continues the folder if it is
that last ring itself, or if no other ring has left a mark since it was made. A ring of an earlier
life, for example on a host to which the volume came back, is neither.

A folder that could never be written to, or was removed and made again, has no id. Its ring names
it by its path and its place on the device.

A ring of a version before 0.2 has no id. Its name is made from the path of its folder. It
continues the folder if the mark names it, or if it begins where the last clean stop ended.
"""

from dataclasses import dataclass
from datetime import datetime

from proxy.journal.marks import Position, id_of
from proxy.journal.ring_header import Owner
from proxy.journal.rings.placement import old_ring_name, ring_names
from proxy.journal.rings.ring_file import RingFile


@dataclass(frozen=True, slots=True)
class LastRun:
    """What a journal folder says of its last run."""

    here: Owner
    """The folder, with the id 0 when it has none."""
    running: int | None
    """The identity in the mark `running`; 0 when it cannot be read, None without the mark."""
    position: Position | None
    end: Position | None
    ended_at: datetime | None
    """When the last clean stop was."""
    on_disk: int
    """The offset after the last byte in segments."""
    sealed_log: int | None = None
    """The log that it sealed its lines in; None when it sealed none."""

    @property
    def last(self) -> int | None:
        """The identity of the last ring that left any mark; 0 when the mark cannot be read."""
        if self.running is not None:
            return self.running
        return (self.end and self.end.ring) or None

    @property
    def next_number(self) -> int:
        """The number that the next line had at the last clean stop; 1 without one."""
        return 1 if self.end is None else self.end.number

    @property
    def known_end(self) -> int:
        """The least offset at which the log can have ended."""
        known = [place.offset for place in (self.position, self.end) if place is not None]
        return max([self.on_disk, *known])

    def owns(self, ring: RingFile) -> bool:
        """Return whether *ring* belongs to this folder."""
        theirs, here = ring.owner, self.here
        if not theirs.folder_id:
            return ring.path.name in {
                old_ring_name(here.path),
                ring_names(here.folder_id, 0)[0],
            }
        if not here.folder_id:
            return (theirs.path, theirs.place) == (here.path, here.place)
        return theirs.folder_id == here.folder_id and not self._is_copy_of(theirs)

    def _is_copy_of(self, theirs: Owner) -> bool:
        """Return whether this folder is a copy of *theirs*, which is still there."""
        return theirs.path != self.here.path and id_of(theirs.path) == theirs.folder_id

    def is_continued_by(self, ring: RingFile) -> bool:
        """Return whether *ring*, one of this folder, goes on where this folder ends."""
        if not ring.is_complete or ring.written < self.known_end:
            return False
        if not self.here.folder_id and self.last is None and ring.owner.folder_id:
            return True  # nothing is left that could contradict it
        if self.last == 0:
            # The mark cannot be read: nothing on disk is given up in favour of the ring.
            return ring.floor >= self.on_disk
        if ring.owner.folder_id:
            return self.last == ring.identity or (self.last or 0) == ring.predecessor
        if self.running is not None:
            return self.running == ring.identity
        return ring.origin == (self.end.offset if self.end else 0)
