"""The journal: what stands between a call that has ended and the database.

begin/end ─→ head (tmpfs) ─→ mover ─→ segments (disk)
               └──────────── reader ──────┘ ─→ writer ─→ PostgreSQL
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from audit_log.process.disk_thread import DiskThread, in_disk_thread
from audit_log.record import Kept
from proxy.audit.record import RecordText
from proxy.journal.batch import Batch
from proxy.journal.intake import Intake
from proxy.journal.journal_error import JournalError
from proxy.journal.mover import Mover
from proxy.journal.parts import DEFAULT_LIMITS, Limits, Parts, open_parts
from proxy.journal.reader import Reader

MANY_BYTES: Final = 256 * 1024
"""From so many on, what waits is read and written for the least work instead of the least delay
to calls."""
MAX_BATCH_LINES: Final = 10_000
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
"""The larger a batch, the less it costs PostgreSQL: a commit each, and lookups of its indexes."""
_RETRY_SECONDS: Final = 0.5
_SWITCH_SECONDS: Final = 0.0005
ON_DISK: Final = (
    "the journal's head lies on disk, where a stalled disk can hold calls up:"
    " give it a tmpfs with PROXY_JOURNAL_HEAD_DIR"
)
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Journal:
    """Takes records without waiting, and gives them to the one writer in the order they came.

    `begin`, `end` and `offer` belong to the event loop, never raise and never touch a disk.
    """

    def __init__(self, parts: Parts, instance: str, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        """How much may wait on disk."""
        self._parts = parts
        self._head = parts.head
        self._intake = Intake(parts.head, parts.calls, instance)
        self._reader = Reader(parts, instance)
        self._mover = Mover(parts, max_bytes)
        self._reading = DiskThread("journal-reader")
        self._moving = DiskThread("journal-mover")
        # Of its own: a disk that hangs here must not keep records in memory from being read.
        self._shelving = DiskThread("journal-set-aside")
        self._stopped_moving = self._moving.submit(self._mover.run)
        self._arrival = asyncio.Event()
        self._retrying: asyncio.TimerHandle | None = None
        self._is_ending = False
        self._is_closing = False
        self._reading_problem: str | None = None
        self._placing_problem = ON_DISK if parts.is_head_on_disk else None
        self._waiting_since = datetime.now(UTC)
        self._ahead: Batch | None = None
        """What was read while the batch before it was not committed."""
        self.damaged = 0
        """Records known to be missing because their lines were damaged."""
        if self._intake.is_behind:
            self._try_again_later()

    def begin(self, record: Kept | RecordText) -> int:
        """Keep *record* in case we are killed before `end`; return what `end` wants to be given.

        *record* reads as it shall when nobody ever learns how the call ended.
        """
        return self._intake.begin(record)

    def end(self, slot: int, record: Kept | RecordText) -> bool:
        """Keep *record* of the call in *slot*, as `begin` returned it; say whether there was room.

        What finds no room is counted, and reported as a gap when there is room again.
        """
        kept = self._intake.end(slot, record)
        self._arrival.set()
        if not kept and self._retrying is None:
            self._try_again_later()
        return kept

    def offer(self, record: Kept) -> bool:
        """Keep *record*, which had no `begin`; say whether there was room."""
        return self.end(-1, record)

    async def read(
        self, after: Batch | None = None, *, max_lines: int = MAX_BATCH_LINES
    ) -> Batch | None:
        """Return the batch that follows *after*, or what is committed, waiting until there is one.

        None after `end_reading`, when there is nothing more. Asking again gives the same again.
        """
        while True:
            self._arrival.clear()
            if not self.bytes_after(after):
                if self._is_ending:
                    return None
                await self._arrival.wait()
                continue
            try:
                batch = await self._gather(*self._place(after), max_lines)
            except OSError as error:
                self._reading_problem = f"the journal cannot be read: {error}"
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._reading_problem = None
            if after is None or after.end == self._head.committed:
                self._note_waiting(batch)
            else:
                self._ahead = batch
            return batch

    async def _gather(self, start: int, number: int, max_lines: int) -> Batch:
        """Return the batch at *start*, read in pieces: calls go on between two of them."""
        written = self._head.written
        batch = await self._piece(start, number, max_lines)
        while (
            batch.end < written and batch.size < max_lines and batch.end - start < MAX_BATCH_BYTES
        ):
            piece = await self._piece(batch.end, batch.next_number, max_lines - batch.size)
            if piece.end <= batch.end:
                break
            batch.go_on_with(piece)
        return batch

    async def _piece(self, start: int, number: int, max_lines: int) -> Batch:
        """Return a small batch at *start*, without the thread if that is little and in memory.

        A thread that computes keeps the interpreter from calls for longer than it takes itself.
        """
        piece = None
        if self._head.written - start < MANY_BYTES:
            piece = self._reader.read_memory(start, number, max_lines)
        if piece is None:
            piece = await self._reading.submit(self._reader.read, start, number, max_lines)
        else:
            await asyncio.sleep(0)
        if piece.damages:
            await self._reading.submit(self._reader.keep_damages, piece)
        return piece

    def _place(self, after: Batch | None) -> tuple[int, int]:
        if after is not None:
            return after.end, after.next_number
        return self._head.committed, self._head.committed_number

    def _note_waiting(self, batch: Batch) -> None:
        if batch.records:
            self._waiting_since = batch.records[0].created_at

    def commit(self, batch: Batch) -> None:
        """Note that all of *batch* is in the database, or set aside."""
        self._head.commit(batch.end, batch.next_number)
        self.damaged += batch.missing
        self._waiting_since = datetime.now(UTC)
        if self._ahead is not None:
            self._note_waiting(self._ahead)
            self._ahead = None

    async def quarantine(self, line: bytes) -> Path:
        """Keep *line*, which the store refuses, in a readable file; raise OSError if it fails."""
        return await self._shelving.submit(self._parts.directory.quarantine, line)

    def end_reading(self) -> None:
        """Let `read` return None as soon as everything is committed."""
        self._is_ending = True
        self._arrival.set()

    @property
    def has_unwritten(self) -> bool:
        """Whether there is anything that is not committed."""
        return self.unwritten_bytes > 0

    def bytes_after(self, batch: Batch | None) -> int:
        """Return how many bytes of the log follow *batch*, or what is committed."""
        return self._head.written - (self._head.committed if batch is None else batch.end)

    @property
    def oldest_unwritten(self) -> datetime | None:
        """When the oldest record arrived that is not written, or None; never later than that.

        Where nothing has been read since the last commit, that is the moment of that commit.
        """
        return self._waiting_since if self.has_unwritten else None

    @property
    def unwritten_bytes(self) -> int:
        """How many bytes of the log are not committed."""
        return self.bytes_after(None)

    @property
    def head_bytes_in_use(self) -> int:
        """How many bytes of the head may not be overwritten yet."""
        return self._head.written - self._head.floor

    @property
    def bytes_on_disk(self) -> int:
        """How many bytes all segments take."""
        return self._parts.segments.total_bytes

    @property
    def accepted(self) -> int:
        """How many records were taken in."""
        return self._intake.accepted

    @property
    def refused(self) -> int:
        """How many records were lost for want of room."""
        return self._intake.refused

    @property
    def unprotected(self) -> int:
        """How many calls began without a slot, and would have been forgotten at a kill."""
        return self._intake.unprotected

    @property
    def is_behind(self) -> bool:
        """Whether something waits for room: a gap to be told, or calls interrupted by a kill."""
        return self._intake.is_behind

    @property
    def in_flight(self) -> int:
        """How many calls have begun and not ended."""
        return self._parts.calls.in_flight

    @property
    def problem(self) -> str | None:
        """Why the journal does not work as it should, or None. Calls do not notice any of it."""
        if self._stopped_moving.done() and not self._is_closing:
            return f"the journal's mover has died: {self._stopped_moving.exception()!r}"
        return self._mover.problem or self._reading_problem or self._placing_problem

    def _try_again_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._retrying = loop.call_later(_RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        """Report what was lost even when no call comes that would do it."""
        self._retrying = None
        if self._intake.is_behind and not self._intake.catch_up():
            self._try_again_later()
        self._arrival.set()

    async def close(self, seconds: float) -> None:
        """Bring everything to disk and leave no head behind, in at most *seconds*.

        With a disk that is dead or too slow the head stays where it is: the next start goes on
        with it.
        """
        self._is_closing = True
        if self._retrying is not None:
            self._retrying.cancel()
        self._mover.stop()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._stopped_moving)
                self._intake.finish()
                await self._moving.submit(self._mover.finish)
                # The reader's thread may still be reading for a task that was cancelled.
                await self._reading.submit(int)
                await self._moving.submit(self._parts.close)
        except TimeoutError:
            log.error("journal.close_timed_out", left_bytes=self.head_bytes_in_use)
        self._moving.end()
        self._reading.end()
        self._shelving.end()


@asynccontextmanager
async def open_journal(
    directory: Path,
    *,
    instance: str,
    head_directory: Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
    close_seconds: float = 5.0,
) -> AsyncIterator[Journal]:
    """Open the journal in *directory* and go on where the last run stopped, however it stopped.

    A disk that hangs meanwhile holds up the caller, and nobody else in the event loop.
    Raise JournalError, or JournalLockedError when another process has it open.
    """
    # Instead of 5 ms: so long would calls wait each time a thread of ours is at work.
    sys.setswitchinterval(_SWITCH_SECONDS)
    opening = in_disk_thread(
        "journal-opener", open_parts, directory, head_directory, limits, instance
    )
    parts = await _opened(opening)
    journal = Journal(parts, instance, limits.max_bytes)
    try:
        yield journal
    finally:
        await journal.close(close_seconds)


async def _opened(opening: asyncio.Future[Parts]) -> Parts:
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_let_go)
        raise


def _let_go(opening: asyncio.Future[Parts]) -> None:
    """Let another run have what was opened too late."""
    with suppress(JournalError, OSError):
        opening.result().let_go()
