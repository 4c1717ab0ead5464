"""The writer: one task that follows the journal and writes it into the sink, in batches.

Theory of operation. A batch goes through four steps: it is read, each of its items is appended
or quarantined, it is sealed, and then it is committed, which lets the journal delete it. A kill
between two steps is harmless: the journal gives the same batch again, and appending is idempotent.

`audit_log.delivery_loop` finds the refused item in a batch and is patient while the store is away.
An item that it holds apart delays no other: later batches are written, and committed after it.
What is decided here is the pace and the end:

- While little waits (less than `MANY_BYTES`), delay counts. Batches are read and written in turn,
  and begin no closer than `PACE_SECONDS`, so that several calls share one commit.
- While much waits, throughput counts. The next batch is read while one is written. It is written
  only after the one before it was committed, so the order of the journal is kept.
- `drain` changes how an absent store is met: before it the writer waits and tries again for ever,
  from then on it gives up at the first failed attempt. What is not committed stays in the journal.

The task ends in one of two ways: everything is committed after `drain`, or the store is away after
`drain`. `run` may be begun again after any other error: it goes on from the last commit.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Final, Protocol

import structlog

from audit_log.delivery_loop import DeliveryLoop, NamingSink, Sink
from audit_log.errors import StoreUnavailableError
from audit_log.naming import FindTokens
from audit_log.process.background import BackgroundTasks
from audit_log.process.changes import LoggedState
from audit_log.record import AnyRecord, Gap, Invocation
from proxy.delivery.quarantine import Quarantine, QuarantineFile
from proxy.delivery.replaced_store import ReplacedStore
from proxy.journal import MANY_BYTES, Batch
from proxy.seal.seal import Seal

TASK: Final = "audit-writer"
"""What the task of a writer is called."""
PACE_SECONDS: Final = 0.1
"""The least time between the beginnings of two batches while little waits: a batch costs more
than its lines."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Source(QuarantineFile, Protocol):
    """Where batches come from: all that the writer needs of the journal."""

    @property
    def unwritten_bytes(self) -> int:
        """How many bytes are not committed."""

    async def read(self, after: Batch | None = None) -> Batch | None:
        """Return the batch that follows *after*, or the last commit; None when there is none."""

    def bytes_after(self, batch: Batch) -> int:
        """Return how many bytes follow *batch*."""

    def commit(self, batch: Batch) -> None:
        """Learn that each item of *batch* is written or quarantined."""

    def end_reading(self) -> None:
        """Let `read` return None as soon as everything is committed."""


@dataclass(slots=True)
class Progress:
    """What a writer has written since its start, for the metrics."""

    written: int = 0
    """Records and tool calls."""
    gaps: int = 0
    last_gap_at: datetime | None = None
    batch_records: int = 0
    """In the last batch that was committed."""
    batch_seconds: float = 0.0
    """How long that batch took to write."""


class Writer:
    """Writes every record, in the order of the journal, however long the store is away.

    Run by `writing`.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        find: FindTokens | None,
        announce: Callable[[Gap], None] | None = None,
        replaced: ReplacedStore | None = None,
        seal: Seal | None = None,
    ) -> None:
        """Write from *source* to *sink*; call *announce* with each gap that is written.

        Names of tokens come from *find*; without it the receiver of the records adds them.
        With *replaced* confirmed records that the store lacks are sent again. What is stored is
        sealed by *seal* before it is committed.
        """
        self._replaced = replaced
        self._seal = seal
        self._source = source
        self._sink = NamingSink(sink, find)
        self._announce = announce
        self._quarantine = Quarantine(source)
        self._loop = DeliveryLoop(
            wait=self._wait, recovered=self._note_recovered, quarantine=self._quarantine.take
        )
        self._store = LoggedState(
            log, fails="audit.store_unavailable", works="audit.store_recovered"
        )
        self._held = LoggedState(log, fails="audit.record_waits", works="audit.record_settled")
        self._delivered: deque[tuple[Batch, int]] = deque()
        """Batches to be committed, each with what was held by its end."""
        self._draining = asyncio.Event()
        self.progress = Progress()

    @property
    def problem(self) -> str | None:
        """Why nothing is written at the moment, or None."""
        reason = self._store.reason or self._loop.problem
        return None if reason is None else f"records wait in the journal: {reason}"

    @property
    def quarantined_lately(self) -> str | None:
        """What was quarantined in the last minutes, and why, or None."""
        return self._loop.quarantined_lately

    @property
    def quarantined(self) -> int:
        """How many records the store refused."""
        return self._quarantine.records

    async def run(self) -> None:
        """Write until everything is written after `drain`, or the store is away after it."""
        self._delivered.clear()
        # `_went_back` raises it only after `drain`.
        with suppress(StoreUnavailableError):
            batch = await self._read(None)
            while batch is not None:
                if await self._went_back():
                    batch = await self._read(None)
                elif self._source.bytes_after(batch) < MANY_BYTES:
                    batch = await self._one_by_one(batch)
                else:
                    batch = await self._overlapped(batch)

    def drain(self) -> None:
        """Let `run` end when everything is written, or as soon as the store is away."""
        self._draining.set()
        self._source.end_reading()

    async def _one_by_one(self, batch: Batch) -> Batch | None:
        """Write *batch*, let some more gather, and return the batch that follows."""
        if not await self._write(batch):
            return None
        if self._source.unwritten_bytes < MANY_BYTES:
            await self._pause(PACE_SECONDS - self.progress.batch_seconds)
        return await self._read(batch)

    async def _went_back(self) -> bool:
        """Go back in the journal if the store lacks what was confirmed; say so."""
        replaced = self._replaced
        if replaced is None or not replaced.is_due:
            return False
        gaps = await replaced.go_back(self._loop.patiently)
        if gaps is None:
            return False
        self._delivered.clear()
        await self._loop.deliver(gaps, self._append_gaps)
        if self._seal is not None:
            await self._loop.patiently(self._seal.store_again)
        replaced.note()
        return True

    @property
    def _seconds_to_wait(self) -> float | None:
        """How long to wait for a batch at most before something else is to be done."""
        seconds = self._loop.seconds_to_retry
        if self._replaced is None:
            return seconds
        until_look = max(self._replaced.due_at - monotonic(), 0)
        return until_look if seconds is None else min(seconds, until_look)

    async def _read(self, after: Batch | None) -> Batch | None:
        """Return the batch that follows *after*, or the last commit.

        Meanwhile try again what is held, and look whether the store was replaced.
        """
        while not self._draining.is_set():
            if await self._went_back():
                after = None
            seconds = self._seconds_to_wait
            if seconds is None:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    batch = await self._source.read(after=after)
                    if batch is not None or self._loop.seconds_to_retry is None:
                        return batch
                    # The end: only what is held is left.
                    await self._draining.wait()
            await self._settle()
        return await self._source.read(after=after)

    async def _overlapped(self, batch: Batch) -> Batch | None:
        """Write *batch* while the batch that follows is read, and return that one."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._source.read(after=batch), name="audit-read-ahead")
            is_written = await self._write(batch)
            if not is_written:
                following.cancel()
        return following.result() if is_written else None

    async def _write(self, batch: Batch) -> bool:
        """Write and commit *batch*; return whether the store was there for all of it."""
        began = monotonic()
        deliver = self._loop.deliver
        try:
            await deliver(batch.records, self._append)
            await deliver(batch.invocations, self._append_invocations)
            await deliver(batch.gaps, self._append_gaps)
            self._delivered.append((batch, self._loop.holds))
            await self._settle()
        except StoreUnavailableError:
            return False
        self.progress.batch_records = len(batch.records)
        self.progress.batch_seconds = monotonic() - began
        return True

    async def _settle(self) -> None:
        """Try again what is held, and commit what is settled."""
        await self._loop.retry_held()
        await self._loop.deliver(self._quarantine.gaps(), self._append_gaps)
        while self._delivered and self._loop.has_settled(self._delivered[0][1]):
            batch, _ = self._delivered[0]
            if self._seal is not None:
                await self._loop.patiently(partial(self._sealed, self._seal, batch))
            self._delivered.popleft()
            self._source.commit(batch)
            if self._replaced is not None:
                self._replaced.note_committed()
        if self._delivered:
            batch, mark = self._delivered.pop()
            # The place alone: what is written need not stay in memory.
            empty = replace(batch, records=[], invocations=[], damages=[])
            self._delivered.append((empty, mark))
        self._held.note(self._loop.problem)

    async def _sealed(self, seal: Seal, batch: Batch) -> None:
        places = self._quarantine.places
        await seal.take(batch.leaves, batch.next_number, places)
        places.clear()

    async def _append(self, records: Sequence[AnyRecord]) -> None:
        await self._sink.append(records)
        self.progress.written += len(records)

    async def _append_invocations(self, invocations: Sequence[Invocation]) -> None:
        await self._sink.append_invocations(invocations)
        self.progress.written += len(invocations)

    async def _append_gaps(self, gaps: Sequence[Gap]) -> None:
        await self._sink.append_gaps(gaps)
        self.progress.gaps += len(gaps)
        self.progress.last_gap_at = datetime.now(UTC)
        if self._announce is not None:
            for gap in gaps:
                self._announce(gap)

    async def _wait(self, error: StoreUnavailableError, seconds: float) -> None:
        self._store.note(str(error))
        if self._replaced is not None:
            self._replaced.due_at = 0.0  # the store that comes back may be another
        if self._draining.is_set():
            raise error
        await self._pause(seconds)

    def _note_recovered(self) -> None:
        self._store.note(None, waiting_bytes=self._source.unwritten_bytes)

    async def _pause(self, seconds: float) -> None:
        """Wait for *seconds*, less if `drain` is called."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()


@asynccontextmanager
async def writing(
    writer: Writer, tasks: BackgroundTasks | None = None, *, drain_seconds: float
) -> AsyncIterator[asyncio.Task[None]]:
    """Run *writer* for the length of the block, then let it write for *drain_seconds* at most.

    It is one of *tasks*, if given.

    What is not written by then stays in the journal, for the next start.
    """
    tasks = tasks or BackgroundTasks()
    async with tasks.running(writer.run, TASK) as task:
        try:
            yield task
        finally:
            writer.drain()
            _, late = await asyncio.wait({task}, timeout=drain_seconds)
            if late:
                log.warning("audit.drain_timed_out", seconds=drain_seconds)
