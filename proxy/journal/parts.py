"""The parts of a journal, opened in order and closed in reverse."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from proxy.journal.calls import Calls
from proxy.journal.folder import JournalFolder, Position
from proxy.journal.placement import places_for_ring
from proxy.journal.recovery import open_calls, open_ring
from proxy.journal.ring import MIN_RING_BYTES, Ring
from proxy.journal.segments import Segments

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the journal may take."""

    ring_bytes: int = 32 * 1024 * 1024
    """In memory: the records that may wait while the disk and the database both hang."""
    segment_bytes: int = 16 * 1024 * 1024
    """On disk, for each file. Disk space is freed by whole files."""
    max_bytes: int = 1024 * 1024 * 1024
    """On disk, in total."""


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts. Each says which thread may use it."""

    folder: JournalFolder
    segments: Segments
    ring: Ring
    calls: Calls

    @property
    def is_ring_on_disk(self) -> bool:
        """Whether a stalled disk can delay calls, and a power cut can damage the ring."""
        return self.ring.path.parent == self.folder.path

    def close(self) -> None:
        """Close everything; remove the ring and the slots when all records are elsewhere."""
        is_empty = self.ring.floor >= self.ring.written and self.calls.in_flight == 0
        if self.ring.committed >= self.ring.written:
            with suppress(OSError):
                self.segments.delete_before(self.ring.written)
        if is_empty:
            with suppress(OSError):
                # The mark first: a ring that is left over is recognised as old, but a missing one
                # would count as lost.
                self.folder.mark_ended(Position(self.ring.written, self.ring.next_number()))
                self.ring.remove()
                self.calls.remove()
        else:
            log.warning("journal.left_in_memory", bytes=self.ring.written - self.ring.floor)
        self.let_go()

    def let_go(self) -> None:
        """Close everything and leave the files as a kill would. Does not wait for a disk."""
        self.calls.close()
        self.ring.close()
        self.folder.close()


def open_parts(path: Path, ring_directory: Path | None, limits: Limits, instance: str) -> Parts:
    """Open the journal in *path* with what the last run left; raise JournalError."""
    with ExitStack() as opened:
        folder = JournalFolder(path)
        opened.callback(folder.close)
        segments = Segments(folder, min(limits.segment_bytes, limits.max_bytes // 4))
        places = places_for_ring(folder.path, ring_directory)
        ring = open_ring(
            folder, segments, places, max(limits.ring_bytes, MIN_RING_BYTES), instance
        )
        opened.callback(ring.close)
        segments.delete_from(ring.moved)
        calls = open_calls(folder, places)
        opened.callback(calls.close)
        try:
            folder.mark_running(ring.identity)
        except OSError as error:
            log.warning("journal.folder_not_writable", path=str(path), error=str(error))
        parts = Parts(folder, segments, ring, calls)
        if parts.is_ring_on_disk:
            log.warning("journal.ring_on_disk", path=str(ring.path))
        opened.pop_all()
        return parts
