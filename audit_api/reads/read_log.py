"""Records reads in PostgreSQL: those that wait for it, and those that nothing waits for.

Theory of operation. A read is answered when it is stored: `append` returns then. Reads that come
at the same time are stored by one statement; one statement runs at a time, and the next one stores
all that have come meanwhile. The ends of exports and streams, and refusals, tell nothing more, so
nothing waits for them: `offer` keeps them, up to a bound, until a background task has stored them.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from audit_api.errors import NotNowError
from audit_api.reads.read_metrics import ReadMetrics
from audit_api.reads.read_seal import ReadSeal
from audit_log.errors import RecordRefusedError, StoreError
from audit_log.postgres.database import Database
from audit_log.postgres.readers.read_rows import append_reads, may_append_reads
from audit_log.process.background import BackgroundTasks
from audit_log.process.changes import LoggedState
from audit_log.reads import Read

AT_ONCE: Final = 250
"""The most reads of one statement."""
MOST_WAITING: Final = 10_000
"""The most ends and refusals that wait while PostgreSQL is away."""
RETRY_SECONDS: Final = 2.0
DRAIN_SECONDS: Final = 5.0
log: structlog.stdlib.BoundLogger = structlog.get_logger("audit_api")


class ReadNotRecordedError(NotNowError):
    """A read is not answered, because it cannot be recorded."""


@dataclass(slots=True)
class _Batch:
    reads: list[Read] = field(default_factory=list)
    is_stored: bool = False
    error: StoreError | None = None


class ReadLog:
    """The record of all reads, or of none: without a database nothing is recorded."""

    def __init__(
        self, database: Database | None, metrics: ReadMetrics, seal: ReadSeal | None = None
    ) -> None:
        """Record in *database*, sealed if there is a *seal*."""
        self._database = database
        self._seal = seal
        self._metrics = metrics
        self._next = _Batch()
        """What the next statement stores."""
        self._writing = asyncio.Lock()
        self._waiting: deque[Read] = deque()
        self._has_waiting = asyncio.Event()
        self._state = LoggedState(log, fails="reads.not_recorded", works="reads.recorded_again")

    @property
    def problem(self) -> str | None:
        """Why reads are refused or not signed at present, or None."""
        reason = self._state.reason
        if reason is None:
            return None if self._seal is None else self._seal.problem
        return f"reads cannot be recorded: {reason}"

    async def missing_right(self) -> str | None:
        """Return why the role can record no read, or None. Raises StoreError."""
        return None if self._database is None else await may_append_reads(self._database)

    async def append(self, read: Read) -> None:
        """Return when *read* is stored; ReadNotRecordedError if it cannot be."""
        if self._database is None:
            return
        if len(self._next.reads) >= AT_ONCE:
            self._next = _Batch()
        batch = self._next
        batch.reads.append(read)
        async with self._writing:
            # The first of a batch stores all. If it is cancelled, the second one does.
            if not batch.is_stored and batch.error is None:
                await self._store(self._database, batch)
        if batch.error is not None:
            self._metrics.not_recorded += 1
            raise ReadNotRecordedError(
                "This read cannot be recorded, so it is not answered"
            ) from batch.error

    def offer(self, read: Read) -> None:
        """Store *read* soon: the end of one that was recorded at its beginning, or a refusal."""
        if self._database is None:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._metrics.not_recorded += 1
            return
        self._waiting.append(read)
        self._has_waiting.set()

    async def store_waiting(self) -> None:
        """Store what was offered, whenever there is some; retry while PostgreSQL is away."""
        while True:
            await self._has_waiting.wait()
            if not await self._store_some():
                await asyncio.sleep(RETRY_SECONDS)

    async def drain(self) -> None:
        """Store what still waits, at the end; log how many reads were lost if that fails."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._waiting and await self._store_some():
                    pass
        except TimeoutError:
            pass
        self._metrics.not_recorded += len(self._waiting)
        if self._waiting:
            log.error("reads.lost", count=len(self._waiting))

    async def _store_some(self) -> bool:
        """Store the oldest that wait; return whether that went well."""
        some = _Batch([self._waiting[at] for at in range(min(len(self._waiting), AT_ONCE))])
        if self._database is not None and some.reads:
            async with self._writing:
                await self._store(self._database, some)
            if isinstance(some.error, RecordRefusedError):
                # Never: they go, or those behind them could not.
                log.error("reads.lost", count=len(some.reads), reason=str(some.error))
                self._metrics.not_recorded += len(some.reads)
            elif some.error is not None:
                return False
        for _ in some.reads:
            self._waiting.popleft()
        if not self._waiting:
            self._has_waiting.clear()
        return True

    async def _store(self, database: Database, batch: _Batch) -> None:
        if batch is self._next:
            self._next = _Batch()
        try:
            if self._seal is None:
                await append_reads(database, batch.reads)
            else:
                await self._seal.append(batch.reads)
        except StoreError as error:
            batch.error = error
            self._state.note(str(error))
        else:
            batch.is_stored = True
            self._state.note(None)


@asynccontextmanager
async def recording(
    database: Database | None,
    metrics: ReadMetrics,
    tasks: BackgroundTasks,
    seal: ReadSeal | None = None,
) -> AsyncIterator[ReadLog]:
    """Record reads beside the block; store what still waits when it ends."""
    reads = ReadLog(database, metrics, seal)
    try:
        async with tasks.running(reads.store_waiting, "reads"):
            yield reads
    finally:
        await reads.drain()
