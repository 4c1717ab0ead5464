"""What a journal is made of, opened in order and closed in reverse."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from proxy.journal.calls import Calls
from proxy.journal.folder import JournalFolder, Position
from proxy.journal.placement import places_for_ring
from proxy.journal.recovery import open_calls, open_ring
from proxy.journal.ring import MIN_HEAD_BYTES, Ring
from proxy.journal.segments import Segments

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the journal may take."""

    head_bytes: int = 32 * 1024 * 1024
    """In memory: what a stalled disk and a dead database together may let gather."""
    segment_bytes: int = 16 * 1024 * 1024
    """On disk, per file; what is deleted at a time."""
    max_bytes: int = 1024 * 1024 * 1024
    """On disk, in all."""


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts. Who may touch which from where is said at each of them."""

    directory: JournalFolder
    segments: Segments
    head: Ring
    calls: Calls

    @property
    def is_head_on_disk(self) -> bool:
        """Whether a stalled disk can stall a call, and a power cut damage what the head kept."""
        return self.head.path.parent == self.directory.path

    def close(self) -> None:
        """Close everything; take the memory away when nothing is in it that is not elsewhere."""
        is_empty = self.head.floor >= self.head.written and self.calls.in_flight == 0
        if self.head.committed >= self.head.written:
            with suppress(OSError):
                self.segments.delete_before(self.head.written)
        if is_empty:
            with suppress(OSError):
                # First: a head too many is recognised, one too few counts as lost.
                self.directory.mark_ended(Position(self.head.written, self.head.next_number()))
                self.head.remove()
                self.calls.remove()
        else:
            log.warning("journal.left_in_memory", bytes=self.head.written - self.head.floor)
        self.let_go()

    def let_go(self) -> None:
        """Close everything and leave it as a kill would, for another run. Asks no disk."""
        self.calls.close()
        self.head.close()
        self.directory.close()


def open_parts(path: Path, head_directory: Path | None, limits: Limits, instance: str) -> Parts:
    """Open the journal in *path*, going on with what the last run left; raise JournalError."""
    with ExitStack() as opened:
        directory = JournalFolder(path)
        opened.callback(directory.close)
        segments = Segments(directory, min(limits.segment_bytes, limits.max_bytes // 4))
        places = places_for_ring(directory.path, head_directory)
        head = open_ring(
            directory, segments, places, max(limits.head_bytes, MIN_HEAD_BYTES), instance
        )
        opened.callback(head.close)
        segments.delete_from(head.moved)
        calls = open_calls(directory, places)
        opened.callback(calls.close)
        try:
            directory.mark_running(head.identity)
        except OSError as error:
            log.warning("journal.directory_not_writable", path=str(path), error=str(error))
        parts = Parts(directory, segments, head, calls)
        if parts.is_head_on_disk:
            log.warning("journal.head_on_disk", path=str(head.path))
        opened.pop_all()
        return parts
