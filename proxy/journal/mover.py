"""The mover: a thread that copies the ring's bytes to segments on disk, at the disk's pace."""

import asyncio
import threading
from time import monotonic
from typing import Final

import structlog

from proxy.journal.line import MAX_LINE_BYTES
from proxy.journal.marks import ArrivedPosition, Position
from proxy.journal.parts import Limits, Parts
from proxy.journal.rings.rewriting import Rewriting

TICK_SECONDS: Final = 0.02
"""What a power cut can cost: the records appended since the last tick that are not stored."""
BATCH_BYTES: Final = 1024 * 1024
_RETRY_SECONDS: Final = 0.5
_TIDY_SECONDS: Final = 1.0
_STALLED_SECONDS: Final = 1.0
_REMINDER_SECONDS: Final = 60.0
_KEPT_PART: Final = 4
"""Segments whose records are stored stay while all take no more than this part of the budget."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Mover:
    """Moves, and deletes what is stored. Every method here may wait for the disk.

    While the disk fails or hangs, the ring fills up. After a failure a new segment begins with
    what is not in PostgreSQL by then.
    """

    def __init__(self, parts: Parts, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self._ring = parts.ring
        self._segments = parts.segments
        self._folder = parts.folder
        self._log = None if parts.log is None else parts.log.kept
        self._rewriting = Rewriting(parts, loop)
        self._limits = limits
        self.kept_seconds = limits.kept_seconds
        """How long segments stay after all of them is stored."""
        self._stopping = threading.Event()
        self._disk = _Disk(str(parts.folder.path))
        self._busy_since: float | None = None
        self._tidied_at = 0.0
        self.is_full = False

    @property
    def problem(self) -> str | None:
        """Why records are not moved, or None."""
        since = self._busy_since
        if since is not None and monotonic() - since > _STALLED_SECONDS:
            return f"the journal disk has not answered for {monotonic() - since:.0f} s"
        if self._disk.error is not None:
            return f"the journal disk fails: {self._disk.error}"
        return "the journal has used up its bytes on disk" if self.is_full else None

    def stop(self) -> None:
        """Let `run` end after one more pass."""
        self._stopping.set()

    def run(self) -> None:
        """Move until stopped."""
        while not self._stopping.wait(_RETRY_SECONDS if self._disk.error else TICK_SECONDS):
            self._tick()
        self._tick()

    def finish(self) -> bool:
        """Move the rest and delete what is stored; return whether the disk accepted it."""
        for _ in range(2):  # the second time for what was removed, or left open, at the first
            self._tidied_at = -_TIDY_SECONDS
            self._tick()
            self._segments.leave()
        return self._disk.error is None

    def _tick(self) -> None:
        began = monotonic()
        is_tidying = began - self._tidied_at >= _TIDY_SECONDS
        is_wanted = self._log is not None and self._log.is_wanted
        if (
            not (is_tidying or is_wanted or self._disk.error)
            and self._ring.moved == self._ring.written
        ):
            return  # an idle sidecar takes next to no CPU
        self._busy_since = began
        try:
            self._pass(is_tidying=is_tidying)
        except Exception as error:  # noqa: BLE001  without the mover the ring would fill up
            self._disk.failed(error)
        else:
            self._disk.worked(monotonic() - began)
        finally:
            self._busy_since = None

    def _pass(self, *, is_tidying: bool) -> None:
        """Do what there is to do; raise OSError when the disk fails."""
        failure: OSError | None = None
        if not self._segments.is_listed:
            self._segments.list_all(self._ring.moved)
        if not is_tidying:
            failure = self._save_log(at_once=False)
        if is_tidying:
            try:
                # First: on a full disk this makes room for the rest.
                self._tidy()
            except OSError as error:
                failure = error
        if self._folder.is_here():
            self._mark()
            while self._move():
                pass
        if failure is not None:
            raise failure

    def _save_log(self, *, at_once: bool) -> OSError | None:
        """Bring the state of the seal's log to disk, *at_once* or if it is due.

        Return why the disk did not take it: records go on without, and nothing is signed.
        """
        if self._log is not None and self._folder.is_here():
            number = self._ring.next_number()
            if at_once or self._log.is_due(number):
                try:
                    self._log.save(number)
                except OSError as error:
                    return error
        return None

    def _mark(self) -> None:
        """Have the ring's mark in the folder before anything is moved there.

        A start without the ring then knows that one is missing. Another ring without a mark
        knows that this one was here.
        """
        ring, marks = self._ring, self._folder.marks
        if not marks.is_marked:
            marks.mark_running(ring.owner.folder_id, ring.identity, ring.sealed_log)

    def _move(self) -> bool:
        """Move one batch; return whether there may be more."""
        room = self._limits.max_bytes - self._segments.total_bytes
        self.is_full = room < MAX_LINE_BYTES and self._ring.floor < self._ring.written
        if self.is_full:
            self._tidy()
            return False
        start, data = self._next(min(room, BATCH_BYTES, self._segments.segment_bytes))
        if not data:
            # Of what is stored the ring may have lost bytes before they were moved.
            self._ring.moved = start
            return False
        data = data[: data.rfind(b"\n") + 1] or data
        self._segments.append(start, data)
        self._ring.moved = start + len(data)
        # Less than that can wait for the next tick: another pass would only hold the GIL.
        return len(data) > BATCH_BYTES // 2

    def _next(self, limit: int) -> tuple[int, bytes]:
        ring = self._ring
        moved, floor = ring.moved, ring.floor
        # The log goes on without a hole if the ring still has the bytes. After a failure, and
        # where nothing is kept, a new segment begins with what is not in PostgreSQL.
        is_kept = self.kept_seconds > 0 and self._disk.error is None
        if self._segments.is_open or is_kept:
            data = ring.peek(moved, limit)
            if data is not None:
                return moved, data
        return floor, ring.peek(floor, limit) or b""

    def _tidy(self) -> None:
        """Delete what is stored, and see whether the rest is still there."""
        self._rewriting.look()
        ring, marks = self._ring, self._folder.marks
        # The store first: going back moves the position before it names another store.
        store, place = ring.moments.store_id, ring.arrival.place
        arrived = (
            None if place is None else ArrivedPosition(place.offset, place.number, place.moment)
        )
        position = Position(
            ring.committed,
            ring.committed_number,
            ring.moments.committed,
            store=store,
            arrived=arrived,
        )
        marks.look()
        # Before the position: of what lies before that, the leaves are in the state.
        failure = self._save_log(at_once=True)
        try:
            # Before deleting: a start without the ring must not look for deleted bytes.
            marks.save_position(position)
        except OSError:
            # A full disk has no room for the position, and deleting makes room.
            self._segments.delete_before(position.offset)
            marks.save_position(position)
        # What is not stored needs the room more.
        self._segments.delete_before(
            position.offset,
            arrived=position.offset if place is None else place.offset,
            keep_seconds=0.0 if self._disk.error else self.kept_seconds,
            keep_bytes=self._limits.max_bytes // _KEPT_PART,
            seen_at=ring.moments.store_seen_at,
        )
        self._tidied_at = monotonic()
        if failure is not None:
            raise failure


class _Disk:
    """Whether the disk works: logged when that changes, and from time to time while it fails."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._said_at = 0.0
        self.error: str | None = None
        """Why it failed last, or None."""

    def failed(self, error: Exception) -> None:
        """Note a failure."""
        if self.error is None or monotonic() - self._said_at >= _REMINDER_SECONDS:
            log.error("journal.disk_failed", error=str(error), folder=self._folder)
            self._said_at = monotonic()
        self.error = str(error)

    def worked(self, seconds: float) -> None:
        """Note that it did what it was asked, in so many *seconds*."""
        if self.error is not None:
            log.info("journal.disk_recovered", folder=self._folder)
            self.error = None
        elif seconds > _STALLED_SECONDS:
            log.warning("journal.disk_stalled", seconds=round(seconds, 1))
