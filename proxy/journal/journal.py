"""The journal: a durable queue between the calls and the database.

    begin/end ─→ ring (tmpfs) ┊ ─→ mover ─→ segments (disk)
                              ┊ └──── reader ─────┘ ─→ writer ─→ PostgreSQL

Left of the dotted line is the process that takes calls, right of it the recorder. Only the ring is
between them.

Theory of operation. The log is one endless sequence of numbered lines, and an *offset* counts its
bytes from the beginning. Three positions move along it, each kept in the ring: `written`, up to
which lines were appended; `moved`, up to which they are on disk; `committed`, up to which they are
in PostgreSQL. Four parties take part, and each does one thing:

- The intake appends to the ring (`Intake`). It makes no system call and takes no lock.
- The mover's thread copies from the ring to segments and advances `moved` (`Mover`).
- The reader follows `committed`, from the ring while that holds the bytes, else from segments
  (`BatchSource`, `Reader`).
- The writer, outside this package, stores a batch in PostgreSQL and then commits it.

A line is safe from a kill of the process once it is in the ring, and from a power cut once it is
in a segment. Bytes before the later of `moved` and `committed` are free. A full ring refuses a
record; the ring counts it, and a gap reports the count as soon as there is room. A restart and a
recovery from a crash are the same: open what is there (`rings.recovery`) and go on from
`committed`. What was stored but not committed is written again, which is harmless, because records
have ids.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from audit_log.process.background import BackgroundTasks
from audit_log.process.disk_thread import DiskThread, in_disk_thread
from proxy.journal.batch import Batch
from proxy.journal.batch_source import MAX_BATCH_LINES, BatchSource
from proxy.journal.intake import Intake, tell_days
from proxy.journal.journal_error import JournalError
from proxy.journal.mover import Mover
from proxy.journal.parts import DEFAULT_LIMITS, Limits, Parts, open_parts
from proxy.journal.reader import Reader
from proxy.journal.rings.going_back import GoingBack
from proxy.journal.rings.memory_upkeep import MemoryUpkeep

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Journal:
    """The reading side: gives the records to the one writer, in the order they came."""

    def __init__(self, parts: Parts, instance: str, limits: Limits) -> None:
        self.max_bytes = limits.max_bytes
        """How much may wait on disk."""
        self.log = None if parts.log is None else parts.log.kept
        """The log that its lines are sealed in, or None."""
        self._parts = parts
        self._source = BatchSource(parts.ring, Reader(parts, instance))
        self.going_back = GoingBack(parts, self._source)
        """Goes back to what is written already, for a store that lacks it."""
        self._mover = Mover(parts, limits, asyncio.get_running_loop())
        self._moving = DiskThread("journal-mover")
        # Of its own: a disk that hangs here must not keep records in memory from being read.
        self._quarantining = DiskThread("journal-quarantine")
        self._stopped_moving = self._moving.submit(self._mover.run)
        self._is_closing = False

    async def read(
        self, after: Batch | None = None, *, max_lines: int = MAX_BATCH_LINES
    ) -> Batch | None:
        """Return the batch after *after*, or after the last commit, waiting until there is one.

        Return None after `end_reading`, when nothing is left. A repeated call returns the same.
        """
        return await self._source.read(after, max_lines)

    def commit(self, batch: Batch) -> None:
        """Note that all of *batch* is in the database, or quarantined."""
        self._source.commit(batch)

    async def quarantine(self, line: bytes) -> Path:
        """Keep *line*, which the store refuses, in a readable file; raise OSError if it fails."""
        return await self._quarantining.submit(self._parts.folder.quarantine, line)

    def keep_no_longer(self) -> None:
        """Let what is stored be deleted: no store that lacks it is to be expected."""
        self._mover.kept_seconds = 0.0

    def end_reading(self) -> None:
        """Let `read` return None as soon as everything is committed."""
        self._source.end()

    @property
    def has_unwritten(self) -> bool:
        """Whether there is anything that is not committed."""
        return self.unwritten_bytes > 0

    def bytes_after(self, batch: Batch | None) -> int:
        """Return how many bytes of the log follow *batch*, or the last commit."""
        return self._source.bytes_after(batch)

    @property
    def unwritten_bytes(self) -> int:
        """How many bytes of the log are not committed."""
        return self._source.bytes_after(None)

    @property
    def oldest_unwritten(self) -> datetime | None:
        """When the oldest record arrived that is not committed, or earlier; None without one."""
        return self._source.oldest_unwritten

    @property
    def damaged(self) -> int:
        """How many records are missing because their lines were damaged."""
        return self._source.damaged

    @property
    def bytes_on_disk(self) -> int:
        """How many bytes all segments take."""
        return self._parts.segments.total_bytes

    @property
    def dead(self) -> list[str]:
        """That the mover's thread has ended, which only a new process mends; else empty."""
        if self._stopped_moving.done() and not self._is_closing:
            return [f"the journal's mover has died: {self._stopped_moving.exception()!r}"]
        return []

    @property
    def problem(self) -> str | None:
        """Why the journal does not work as it should, or None. Calls are not affected."""
        if self.dead:
            return self.dead[0]
        return self._mover.problem or self._source.problem

    @property
    def _left_bytes(self) -> int:
        return self._parts.ring.written - self._parts.ring.floor

    async def close(self, seconds: float) -> None:
        """Bring everything to disk and remove the ring, in at most *seconds*.

        With a disk that is dead or too slow the ring stays where it is, and the next start goes on
        with it.
        """
        self._is_closing = True
        self._mover.stop()
        left_bytes = self._left_bytes
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._stopped_moving)
                is_on_disk = await self._moving.submit(self._mover.finish)
                await self._source.settle()
                left_bytes = self._left_bytes
                await self._moving.submit(self._parts.close, is_on_disk)
        except TimeoutError:
            # The ring is not asked now: a thread may have closed it.
            log.error("journal.close_timed_out", left_bytes=left_bytes)
        self._moving.end()
        self._source.close()
        self._quarantining.end()


@asynccontextmanager
async def reading(
    parts: Parts, instance: str, limits: Limits, *, close_seconds: float
) -> AsyncIterator[Journal]:
    """Yield the reading side of the journal of *parts*; close both at the end."""
    journal = Journal(parts, instance, limits)
    try:
        yield journal
    finally:
        await journal.close(close_seconds)


@asynccontextmanager
async def taking_in(
    parts: Parts,
    instance: str,
    limits: Limits,
    tasks: BackgroundTasks,
    details: Mapping[str, str] | None = None,
) -> AsyncIterator[Intake]:
    """Yield the side of the journal of *parts* that takes records; finish it at the end.

    What looks after its memory is one of *tasks*. With *details* the seal tells of start and stop.
    """
    upkeep = MemoryUpkeep(parts)
    intake = Intake(parts, instance, limits, upkeep, details)
    async with (
        tasks.running(upkeep.run, "journal-memory"),
        tasks.running(partial(tell_days, intake), "journal-days"),
    ):
        try:
            yield intake
        finally:
            intake.finish()


@asynccontextmanager
async def open_journal(
    folder: Path,
    *,
    instance: str,
    ring_directory: Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
    close_seconds: float = 5.0,
    key_file: Path | None = None,
) -> AsyncIterator[tuple[Intake, Journal]]:
    """Open both sides of the journal in *folder*; go on where the last run stopped, however.

    Its lines are sealed by the key in *key_file*; without one they are not.
    A disk that hangs meanwhile delays the caller, and nothing else in the event loop.
    Raise JournalError, or JournalLockedError when another process has it open.
    """
    opening = in_disk_thread(
        "journal-opener", open_parts, folder, ring_directory, limits, instance, key_file
    )
    parts = await _opened(opening)
    async with (
        reading(parts, instance, limits, close_seconds=close_seconds) as journal,
        taking_in(parts, instance, limits, BackgroundTasks(), parts.log_details) as intake,
    ):
        yield intake, journal


async def _opened(opening: asyncio.Future[Parts]) -> Parts:
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_let_go)
        raise


def _let_go(opening: asyncio.Future[Parts]) -> None:
    """Release what was opened after the caller was cancelled, so that another run can have it."""
    with suppress(JournalError, OSError):
        opening.result().let_go()
