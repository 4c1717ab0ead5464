"""The parts of a journal, opened in order and closed in reverse."""

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from proxy.journal.calls import Calls
from proxy.journal.folder import JournalFolder
from proxy.journal.marks import Position
from proxy.journal.ring import MIN_RING_BYTES, Ring
from proxy.journal.rings.log_files import LastLog, OpenLog
from proxy.journal.rings.new_ring import open_calls
from proxy.journal.rings.placement import ring_directories
from proxy.journal.rings.recovery import open_ring
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
    kept_seconds: float = 0.0
    """How long segments stay on disk after all of them is in PostgreSQL."""


DEFAULT_LIMITS: Final = Limits()
ON_DISK: Final = (
    "the journal's ring lies on disk, where a stalled disk can delay calls:"
    " give it a tmpfs with PROXY_JOURNAL_RING_DIR"
)
TOO_SMALL: Final = (
    "the journal's ring has {} of {} bytes: make room where PROXY_JOURNAL_RING_DIR says, restart"
)
NO_FILE: Final = (
    "the journal's ring has no file, so a kill loses what is not on disk:"
    " make room where PROXY_JOURNAL_RING_DIR says, and restart"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts. Each says which thread may use it."""

    folder: JournalFolder
    segments: Segments
    ring: Ring
    calls: Calls

    wanted_ring_bytes: int
    log: OpenLog | None = None
    """The log of the seal; None when lines are not sealed."""

    @property
    def placing_problem(self) -> str | None:
        """What is wrong with the place of the ring and the slots, or None."""
        ring = self.ring
        if ring.path is None or self.calls.path is None:
            return NO_FILE
        if ring.path.parent == self.folder.path:
            return ON_DISK
        if ring.size < self.wanted_ring_bytes:
            return TOO_SMALL.format(ring.size, self.wanted_ring_bytes)
        return None

    @property
    def log_details(self) -> dict[str, str]:
        """What the log tells of itself: lines left before it, the key that follows its own."""
        if self.log is None:
            return {}
        state, key = self.log.kept.state, self.log.kept.key
        details = {"lines_left": str(state.left_lines)} if state.left_lines else {}
        if key is not None and key.following is not None:
            details["following_key"] = str(key.following.named(state.origin).verifier)
        return details

    def go_on(self) -> None:
        """Go on in another process, which has a copy of these parts; raise OSError.

        A recorder before it may have worked since they were opened. The mover lists the segments:
        a disk that hangs, or fails, keeps no records in memory from the store.
        """
        if self.ring.is_renewed:
            self.ring.follow()
        if self.log is not None:
            self.log.kept.go_on()
        self.segments.unlist()

    def close(self, is_on_disk: bool) -> None:  # noqa: FBT001  see `DiskThread.submit`
        """Close everything; remove the ring and the slots when all records are elsewhere.

        *is_on_disk*: whether what was moved is still on disk.
        """
        is_moved = is_on_disk and self.ring.floor >= self.ring.written
        is_empty = is_moved and self.ring.is_empty
        if is_empty:
            with suppress(OSError):
                if self.log is not None:
                    self.log.kept.save(self.ring.next_number())
                # The mark first: a ring that is left over is recognised as old, but a missing one
                # would count as lost.
                self.folder.marks.mark_ended(self._end())
                self.ring.file.remove()
                self.calls.file.remove()
                if self.log is not None:
                    self.log.file.remove()
        elif self.ring.is_ended:  # else the next start goes on with it
            log.warning("journal.left_in_memory", bytes=self.ring.written - self.ring.floor)
        self.let_go()

    def _end(self) -> Position:
        ring = self.ring
        return Position(ring.written, ring.next_number(), datetime.now(UTC), ring.identity)

    def let_go(self) -> None:
        """Close everything and leave the files as a kill would. Does not wait for a disk."""
        if self.log is not None:
            self.log.file.close()
        self.calls.close()
        self.ring.close()
        self.folder.close()


def open_parts(
    path: Path,
    ring_directory: Path | None,
    limits: Limits,
    instance: str,
    key_file: Path | None = None,
) -> Parts:
    """Open the journal in *path* with what the last run left; raise JournalError.

    Its lines are sealed by the key in *key_file*; without one they are not.
    """
    with ExitStack() as opened:
        folder = JournalFolder(path)
        opened.callback(folder.close)
        segments = Segments(folder, min(limits.segment_bytes, limits.max_bytes // 4))
        directories = ring_directories(folder.path, ring_directory)
        ring_bytes = max(limits.ring_bytes, MIN_RING_BYTES)
        last_log = LastLog(folder, directories)
        ring = open_ring(folder, segments, directories, ring_bytes, instance, last_log.found)
        opened.callback(ring.close)
        sealed = _log(last_log, ring, instance, key_file)
        if sealed is not None:
            opened.callback(sealed.file.close)
        segments.delete_from(ring.moved)
        calls = open_calls(folder, ring, directories)
        opened.callback(calls.close)
        try:
            folder.marks.mark_running(ring.owner.folder_id, ring.identity, ring.sealed_log)
        except OSError as error:
            # The mover tries again.
            log.warning("journal.folder_not_writable", path=str(path), error=str(error))
        ring.go_on()
        parts = Parts(folder, segments, ring, calls, ring_bytes, sealed)
        if parts.placing_problem is not None:
            log.warning("journal.ring_degraded", reason=parts.placing_problem)
        opened.pop_all()
        return parts


def _log(last: LastLog, ring: Ring, instance: str, key_file: Path | None) -> OpenLog | None:
    if key_file is not None:
        return last.opened(ring, instance, key_file)
    ring.sealed_log = None
    last.remove()
    return None
