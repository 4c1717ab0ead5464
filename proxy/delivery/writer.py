"""The writer: one task that follows the journal and writes it into the store, in batches."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from random import SystemRandom
from time import monotonic
from typing import Final, Protocol, TypeVar

import structlog

from audit_log.errors import RecordRefusedError, StoreUnavailableError
from audit_log.naming import FindToken, Naming
from audit_log.record import AuditRecord, Gap, Invocation
from proxy.delivery.quarantine import Quarantine, SetAside
from proxy.journal import MANY_BYTES, Batch

PACE_SECONDS: Final = 0.05
"""Unless many records wait, batches begin no closer to one another: they cost more than lines."""
_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 5.0
_jitter = SystemRandom().uniform
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
Item = TypeVar("Item", AuditRecord, Invocation, Gap)


class Source(SetAside, Protocol):
    """Where batches come from: all that the writer needs of the journal."""

    @property
    def unwritten_bytes(self) -> int:
        """How much there is that is not committed."""

    async def read(self, after: Batch | None = None) -> Batch | None:
        """Return the batch that follows *after*, or the last commit; None when there is none."""

    def bytes_after(self, batch: Batch) -> int:
        """Return how much there is that follows *batch*."""

    def commit(self, batch: Batch) -> None:
        """All of *batch* is written, or set aside."""

    def end_reading(self) -> None:
        """Let `read` return None as soon as everything is committed."""


class Sink(Protocol):
    """Where records end up: all that the writer needs of a store. Repeating is harmless."""

    async def append(self, records: Sequence[AuditRecord]) -> None:
        """Keep all of *records*; raise StoreUnavailableError or RecordRefusedError."""

    async def append_invocations(self, invocations: Sequence[Invocation]) -> None:
        """Keep all of *invocations*; raise StoreUnavailableError or RecordRefusedError."""

    async def append_gaps(self, gaps: Sequence[Gap]) -> None:
        """Keep all of *gaps*; raise StoreUnavailableError or RecordRefusedError."""


class Writer:
    """Writes every record, in the order of the journal, however long the store is away.

    Without a *find* unknown names are left to those whom the sink passes the records on to.
    "Not now" is tried again for ever; "never" costs only the one record that the store refuses.
    Owned by `writing`.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        find: FindToken | None,
        announce: Callable[[Gap], None] | None = None,
    ) -> None:
        """Write from *source* to *sink*, with the names that *find* finds; *announce* each gap."""
        self._source = source
        self._sink = sink
        self._naming = Naming(find)
        self._announce = announce
        self._refusal = Quarantine(source)
        self._draining = asyncio.Event()
        self.problem: str | None = None
        """Why nothing is written at the moment, or None."""
        self.is_dead = False
        """Whether the task has ended although nobody asked it to."""
        self.written = 0
        self.gaps = 0
        self.last_gap_at: datetime | None = None
        self.batch_records = 0
        self.batch_seconds = 0.0

    @property
    def set_aside(self) -> int:
        """How many records the store refused."""
        return self._refusal.records

    async def run(self) -> None:
        """Write until `drain` finds everything written, or the store away."""
        batch = await self._source.read()
        while batch is not None:
            if self._source.bytes_after(batch) < MANY_BYTES:
                batch = await self._one_by_one(batch)
            else:
                batch = await self._overlapped(batch)

    async def _one_by_one(self, batch: Batch) -> Batch | None:
        """Write *batch*, let some more gather, and return them."""
        if not await self._write_all(batch):
            return None
        if self._source.unwritten_bytes < MANY_BYTES:
            await self._pause(PACE_SECONDS - self.batch_seconds)
        return await self._source.read(after=batch)

    async def _overlapped(self, batch: Batch) -> Batch | None:
        """Write *batch* while the next one is read, and return that."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._source.read(after=batch), name="audit-read-ahead")
            is_written = await self._write_all(batch)
            if not is_written:
                following.cancel()
        return following.result() if is_written else None

    async def _write_all(self, batch: Batch) -> bool:
        """Write and commit *batch*; say whether the store was there for all of it."""
        began = monotonic()
        try:
            await self._write(batch.records, self._append)
            await self._write(batch.invocations, self._append_invocations)
            await self._write([*batch.gaps, *self._refusal.gaps()], self._append_gaps)
        except StoreUnavailableError:
            return False
        self._source.commit(batch)
        self.batch_records = len(batch.records)
        self.batch_seconds = monotonic() - began
        return True

    def drain(self) -> None:
        """Let `run` end when everything is written, or as soon as the store is away."""
        self._draining.set()
        self._source.end_reading()

    async def _append(self, records: Sequence[AuditRecord]) -> None:
        named = await self._naming.named(records)
        try:
            await self._sink.append(named)
        except StoreUnavailableError:
            self._naming.start_over()
            raise
        self.written += len(records)

    async def _append_invocations(self, invocations: Sequence[Invocation]) -> None:
        await self._sink.append_invocations(await self._naming.named(invocations))
        self.written += len(invocations)

    async def _append_gaps(self, gaps: Sequence[Gap]) -> None:
        await self._sink.append_gaps(gaps)
        self.gaps += len(gaps)
        self.last_gap_at = datetime.now(UTC)
        if self._announce is not None:
            for gap in gaps:
                self._announce(gap)

    async def _write(
        self, items: Sequence[Item], append: Callable[[Sequence[Item]], Awaitable[None]]
    ) -> None:
        """Append *items* in order, halving what is refused until the one is found that is."""
        pieces = deque([items] if items else [])
        while pieces:
            piece = pieces[0]
            refusal = await self._patiently(append, piece)
            pieces.popleft()
            if refusal is not None and len(piece) == 1:
                await self._refusal.take(piece[0], refusal)
            elif refusal is not None:
                middle = len(piece) // 2
                pieces.extendleft([piece[middle:], piece[:middle]])

    async def _patiently(
        self, append: Callable[[Sequence[Item]], Awaitable[None]], items: Sequence[Item]
    ) -> RecordRefusedError | None:
        """Append *items*, waiting while the store is away; return its refusal, if it refuses.

        Raise what keeps the store away only when there is no time left to wait.
        """
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                await append(items)
            except RecordRefusedError as error:
                return error
            except StoreUnavailableError as error:
                self._note_away(error)
                if self._draining.is_set():
                    raise
                await self._pause(_jitter(delay / 2, delay))
                delay = min(2 * delay, _LONGEST_DELAY_SECONDS)
            else:
                self._note_back()
                return None

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()

    def _note_away(self, error: Exception) -> None:
        if self.problem is None:
            log.warning("audit.store_unavailable", reason=str(error))
        self.problem = f"records wait in the journal: {error}"

    def _note_back(self) -> None:
        if self.problem is not None:
            log.info("audit.store_recovered", waiting_bytes=self._source.unwritten_bytes)
        self.problem = None

    def note_end(self, task: asyncio.Task[None]) -> None:
        """Say so if *task*, which runs `run`, has failed: a defect, and nothing is written."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.is_dead = True
            self.problem = f"the writer has died: {error!r}"
            log.critical("audit.writer_died", error=repr(error))


@asynccontextmanager
async def writing(writer: Writer, *, drain_seconds: float) -> AsyncIterator[asyncio.Task[None]]:
    """Run *writer* for the length of the block, then let it write for *drain_seconds* at most.

    What it does not get to stays in the journal, for the next start.
    """
    task = asyncio.create_task(writer.run(), name="audit-writer")
    task.add_done_callback(writer.note_end)
    try:
        yield task
    finally:
        writer.drain()
        _, late = await asyncio.wait({task}, timeout=drain_seconds)
        if late:
            log.warning("audit.drain_timed_out", seconds=drain_seconds)
            task.cancel()
            await asyncio.wait({task})
