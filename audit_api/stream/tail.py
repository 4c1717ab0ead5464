"""The live tail: one look at what has arrived, for everyone who listens.

However many listen, PostgreSQL sees one listening connection and one query at a time; each
record is encoded once, and each distinct filter asked once about it.

A look begins with a snapshot. Who listened before hears what lies between the last snapshot and
this one; who came since is let in with it, and hears what the next looks find.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from audit_api.errors import NotNowError
from audit_api.query.cursors import mark
from audit_api.stream.events import entry_event
from audit_api.stream.subscribers import Listener
from audit_log.errors import StoreError
from audit_log.filters import RecordFilter
from audit_log.postgres.arrivals import CHANNEL, Snapshot, Standpoint, Step, read_on, snapshot_now
from audit_log.postgres.database import Database
from audit_log.process.background import in_background
from audit_log.process.changes import LoggedState

STEP_RECORDS: Final = 500
PACE_SECONDS: Final = 0.1
"""Looks are no closer together than this: a busy log is told in pieces, not record by record."""
POLL_SECONDS: Final = 2.0
"""How often is looked without a notification: behind a pooler, or of PodWarden's own writer."""
RETRY_SECONDS: Final = 1.0
LET_IN_SECONDS: Final = 10.0
log = structlog.get_logger("audit_api")


class Tail:
    """Tells all listeners what arrives. Does nothing while there are none."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: set[Listener] = set()
        """Those who are not let in yet."""
        self._audience: set[Listener] = set()
        self._seen: Snapshot | None = None
        """The latest snapshot."""
        self._unfinished: tuple[Standpoint, frozenset[Listener]] | None = None
        """How far the look has come, and who hears of it."""
        self._somebody = asyncio.Event()
        self._news = asyncio.Event()
        self._is_over = False
        self.has_died = False

    @asynccontextmanager
    async def listening(self, wanted: RecordFilter) -> AsyncIterator[Listener]:
        """Yield a listener that hears what arrives from now on and is *wanted*."""
        if self._is_over:
            raise NotNowError("The service is stopping")
        listener = Listener(wanted)
        self._waiting.add(listener)
        self._somebody.set()
        self._news.set()
        try:
            try:
                async with asyncio.timeout(LET_IN_SECONDS):
                    await asyncio.wait({listener.let_in})
            except TimeoutError:
                raise NotNowError("The audit log is out of reach") from None
            if listener.let_in.cancelled():
                raise NotNowError("The service is stopping")
            yield listener
        finally:
            self._waiting.discard(listener)
            self._audience.discard(listener)
            if not self._waiting and not self._audience:
                self._somebody.clear()

    def end(self) -> None:
        """Let everyone who listens hear nothing more."""
        self._is_over = True
        for listener in self._waiting | self._audience:
            listener.end()

    def note_end(self, error: BaseException | None) -> None:
        """Say that a task of the tail has ended: a defect, and nobody would hear anything more."""
        self.has_died = True
        log.critical("tail.died", error=repr(error))
        self.end()

    async def watch(self) -> None:
        """Look again and again, as long as somebody listens."""
        store = LoggedState(log, fails="tail.store_unavailable")
        while True:
            await self._somebody.wait()
            self._news.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  one bad row must not end it for everybody
                store.note(str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            store.note(None)
            await asyncio.sleep(PACE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._news.wait()

    async def heed(self) -> None:
        """Learn of notifications, once somebody listens. Without them there is still the poll."""
        while True:
            await self._somebody.wait()
            with suppress(StoreError):
                async with self._database.notifications(CHANNEL) as notifications:
                    self._news.set()  # of what came before, nobody was told
                    async for _ in notifications:
                        self._news.set()
            await asyncio.sleep(RETRY_SECONDS)

    async def _look(self) -> None:
        """Tell what has arrived since the last look; or first what that one could not finish."""
        if self._unfinished is None:
            now = await snapshot_now(self._database)
            if self._seen is not None and self._audience:
                self._unfinished = (Standpoint(self._seen), frozenset(self._audience))
            self._seen = now
            self._let_in(now)
        while self._unfinished is not None:
            standpoint, audience = self._unfinished
            step = await read_on(self._database, standpoint, until=self._seen, limit=STEP_RECORDS)
            self._tell(step, audience)
            self._unfinished = None if step.is_last else (step.end, audience)

    def _let_in(self, now: Snapshot) -> None:
        for listener in self._waiting:
            if not listener.let_in.done():
                listener.told = now
                listener.let_in.set_result(now)
        self._audience |= self._waiting
        self._waiting.clear()

    def _tell(self, step: Step, audience: frozenset[Listener]) -> None:
        events = [
            (record, entry_event(record, mark(step.standpoint(record)))) for record in step.records
        ]
        by_filter: dict[RecordFilter, bytes] = {}
        for listener in audience & self._audience:
            wanted = listener.wanted
            if wanted not in by_filter:
                by_filter[wanted] = b"".join(
                    event for record, event in events if wanted.matches(record)
                )
            if by_filter[wanted]:
                listener.offer(by_filter[wanted])
            if step.is_last:
                listener.told = step.reading


@asynccontextmanager
async def tailing(database: Database) -> AsyncIterator[Tail]:
    """Run a tail for the length of the block."""
    tail = Tail(database)
    async with (
        in_background(tail.watch(), "audit-tail", tail.note_end),
        in_background(tail.heed(), "audit-tail-notifications", tail.note_end),
    ):
        try:
            yield tail
        finally:
            tail.end()
