"""The live tail: one read of new records, shared by all subscribers.

Whatever the number of subscribers, PostgreSQL sees one connection with LISTEN and one query at a
time. Each record is encoded once and tested once against each distinct filter.

A look takes a snapshot. Subscribers that had joined before are offered the records between the
previous snapshot and this one. New subscribers join with this snapshot and are offered what later
looks find.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, Generic

import structlog

from audit_api.errors import NotNowError
from audit_api.query.cursors import mark
from audit_api.stream.events import event_of, gap_events, resumed_event, waiting_event
from audit_api.stream.subscribers import Subscriber
from audit_log.errors import StoreError
from audit_log.filters import EVERYTHING, CallFilter
from audit_log.postgres.arrivals import CHANNEL, Snapshot, Standpoint, Step, read_on, snapshot_now
from audit_log.postgres.database import Database
from audit_log.postgres.gaps import gaps_between, overlaps
from audit_log.postgres.reading.sources import Source, Told
from audit_log.process.background import BackgroundTasks
from audit_log.process.changes import LoggedState
from audit_log.record import Gap

STEP_RECORDS: Final = 500
PACE_SECONDS: Final = 0.1
"""The least time between two looks: a busy log is read in batches, not record by record."""
POLL_SECONDS: Final = 2.0
"""The most time between two looks. Notifications do not pass a connection pooler, and PodWarden's
own writer sends none."""
RETRY_SECONDS: Final = 1.0
JOIN_SECONDS: Final = 10.0
"""How long a new subscriber waits for a look before it is told to retry."""
OUT_OF_REACH: Final = "The audit log is out of reach"
log = structlog.get_logger("audit_api")


class Tail(Generic[Told]):
    """Offers new records, and gaps, to all subscribers. Idle while there are none."""

    def __init__(self, database: Database, source: Source[Told]) -> None:
        self._database = database
        self._source = source
        self._joining: set[Subscriber] = set()
        """The subscribers that wait for their first snapshot."""
        self._subscribers: set[Subscriber] = set()
        self._seen: Snapshot | None = None
        """The latest snapshot."""
        self._unfinished: tuple[Standpoint, frozenset[Subscriber]] | None = None
        """How far an interrupted look has come, and its subscribers."""
        self._has_subscribers = asyncio.Event()
        self._news = asyncio.Event()
        self._is_over = False
        self._is_away = False
        """Whether the last look failed, and the subscribers were told so."""

    @asynccontextmanager
    async def subscribed(self, wanted: CallFilter) -> AsyncIterator[Subscriber]:
        """Yield a subscriber that is offered the *wanted* records that arrive from now on.

        Raises NotNowError if the service is stopping, or the audit log cannot be read in 10 s.
        """
        if self._is_over:
            raise NotNowError("The service is stopping")
        subscriber = Subscriber(wanted)
        self._joining.add(subscriber)
        self._has_subscribers.set()
        self._news.set()
        try:
            try:
                async with asyncio.timeout(JOIN_SECONDS):
                    await asyncio.wait({subscriber.joined})
            except TimeoutError:
                raise NotNowError(OUT_OF_REACH) from None
            if subscriber.joined.cancelled():
                raise NotNowError("The service is stopping")
            yield subscriber
        finally:
            self._joining.discard(subscriber)
            self._subscribers.discard(subscriber)
            if not self._joining and not self._subscribers:
                self._has_subscribers.clear()

    def end(self) -> None:
        """End all subscribers, and admit no new one."""
        self._is_over = True
        for subscriber in self._joining | self._subscribers:
            subscriber.end()

    async def watch(self) -> None:
        """Look for new records whenever there are subscribers, after a notification or a pause."""
        store = LoggedState(log, fails="tail.store_unavailable")
        while True:
            await self._has_subscribers.wait()
            self._news.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  one bad row must not end the tail
                store.note(str(error))
                self._tell(is_away=True)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            store.note(None)
            self._tell(is_away=False)
            await asyncio.sleep(PACE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._news.wait()

    def _tell(self, *, is_away: bool) -> None:
        """Tell subscribers, once, that they hear nothing because the log cannot be read."""
        if is_away == self._is_away:
            return
        self._is_away = is_away
        news = waiting_event(OUT_OF_REACH) if is_away else resumed_event()
        for subscriber in self._subscribers:
            subscriber.offer(news)

    async def follow_notifications(self) -> None:
        """Shorten the pause between looks by PostgreSQL's notifications.

        If notifications cannot be had, `watch` polls.
        """
        while True:
            await self._has_subscribers.wait()
            with suppress(StoreError):
                async with self._database.notifications(CHANNEL) as notifications:
                    self._news.set()  # records from before LISTEN were not notified
                    async for _ in notifications:
                        self._news.set()
            await asyncio.sleep(RETRY_SECONDS)

    async def _look(self) -> None:
        """Offer the records that arrived since the last look; first finish an interrupted one."""
        if self._unfinished is None:
            now = await snapshot_now(self._database)
            if self._seen is not None and self._subscribers:
                self._unfinished = (Standpoint(self._seen), frozenset(self._subscribers))
            self._seen = now
            self._join(now)
        while self._unfinished is not None:
            standpoint, subscribers = self._unfinished
            gaps = []
            if standpoint.place is None and self._seen is not None:
                gaps = await gaps_between(self._database, standpoint.seen, self._seen, EVERYTHING)
            step = await read_on(
                self._database, self._source, standpoint, until=self._seen, limit=STEP_RECORDS
            )
            self._offer(gaps, step, subscribers)
            self._unfinished = None if step.is_last else (step.end, subscribers)

    def _join(self, now: Snapshot) -> None:
        for subscriber in self._joining:
            if not subscriber.joined.done():
                subscriber.offered_up_to = now
                subscriber.joined.set_result(now)
        self._subscribers |= self._joining
        self._joining.clear()

    def _offer(
        self, gaps: Sequence[Gap], step: Step[Told], subscribers: frozenset[Subscriber]
    ) -> None:
        events = [
            (record, event_of(record, mark(step.standpoint(record)))) for record in step.records
        ]
        by_filter: dict[CallFilter, bytes] = {}
        for subscriber in subscribers & self._subscribers:
            wanted = subscriber.wanted
            if wanted not in by_filter:
                missing = gap_events(gap for gap in gaps if overlaps(gap, wanted))
                by_filter[wanted] = missing + b"".join(
                    event for record, event in events if wanted.matches(record)
                )
            if by_filter[wanted]:
                subscriber.offer(by_filter[wanted])
            if step.is_last:
                subscriber.offered_up_to = step.reading


@asynccontextmanager
async def tailing(
    database: Database, tasks: BackgroundTasks, source: Source[Told], name: str
) -> AsyncIterator[Tail[Told]]:
    """Run a tail beside the block, by two of *tasks*; end its subscribers when the block ends."""
    tail = Tail(database, source)
    async with (
        tasks.running(tail.watch, name),
        tasks.running(tail.follow_notifications, f"{name}-notifications"),
    ):
        try:
            yield tail
        finally:
            tail.end()
