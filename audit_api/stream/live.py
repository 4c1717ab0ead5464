"""The live stream: entries sent to one client as server-sent events, as they arrive."""

from dataclasses import dataclass
from time import monotonic
from typing import Final, Generic

import structlog
from aiohttp import web

from audit_api.access.gate import Gate
from audit_api.errors import ApiError, ForbiddenError, UnauthorizedError
from audit_api.query.cursors import check_standpoint, mark, read_mark
from audit_api.query.endpoint import Asked
from audit_api.query.filter_params import Nothing
from audit_api.query.params import InvocationsStreamParams, StreamParams
from audit_api.reads.one_read import Reading
from audit_api.responses import streamed_response
from audit_api.stream.completeness import IncompleteError, require_complete
from audit_api.stream.events import (
    CONTENT_TYPE,
    event_of,
    gap_events,
    heartbeat,
    notice_event,
    resumed_event,
    rows_in,
    waiting_event,
)
from audit_api.stream.streaming import StreamedResponse, streaming
from audit_api.stream.subscribers import Subscriber
from audit_api.stream.tail import STEP_RECORDS, Tail
from audit_log.errors import StoreError
from audit_log.postgres.arrivals import Standpoint, read_on
from audit_log.postgres.database import Database
from audit_log.postgres.gaps import gaps_between
from audit_log.postgres.reading.sources import Source, Told
from audit_log.postgres.replica import OpenTransaction
from audit_log.schema.subscription import Subscription

HEARTBEAT_SECONDS: Final = 15.0
RESUME_FIELD: Final = "Last-Event-ID"
_FIELDS: Final = {"X-Accel-Buffering": "no"}  # nginx: do not buffer this response
AskedStream = Asked[StreamParams, Nothing] | Asked[InvocationsStreamParams, Nothing]
log = structlog.get_logger("audit_api")


@dataclass(frozen=True, slots=True)
class Live(Generic[Told]):
    """Responds with a live stream."""

    source: Source[Told]
    database: Database
    tail: Tail[Told]
    gate: Gate
    open_transaction: OpenTransaction
    subscription: Subscription

    async def stream(self, asked: AskedStream) -> web.StreamResponse:
        """Stream records and gaps as they arrive; first those since the client's mark, if any.

        Ends with a notice event if the client is too slow or may no longer read, or if the stream
        would leave records out from now on.
        """
        await require_complete(self.subscription)
        standpoint = _standpoint(asked)
        if asked.wants_no_body:
            return streamed_response(CONTENT_TYPE, _FIELDS)
        async with self.tail.subscribed(asked.query.filter()) as subscriber:
            since = subscriber.joined.result()
            if standpoint is not None:
                check_standpoint(standpoint, since, *_given(asked))
            await asked.reading.begin()
            async with streaming(asked.request, CONTENT_TYPE, _FIELDS) as streamed:
                begins = standpoint or Standpoint(since)
                await self._catch_up(streamed, begins, subscriber, asked.reading)
                await streamed.send(heartbeat(mark(Standpoint(since))))
                await self._follow(streamed, asked, subscriber)
        return streamed.response

    async def _catch_up(
        self,
        streamed: StreamedResponse,
        standpoint: Standpoint,
        subscriber: Subscriber,
        reading: Reading,
    ) -> None:
        since = subscriber.joined.result()
        while standpoint != Standpoint(since) and not subscriber.is_over:
            if standpoint.place is None:
                gaps = await gaps_between(self.database, standpoint.seen, since, subscriber.wanted)
                if gaps:
                    reading.tell(len(gaps))
                    await streamed.send(gap_events(gaps))
            step = await read_on(
                self.database,
                self.source,
                standpoint,
                wanted=subscriber.wanted,
                until=since,
                limit=STEP_RECORDS,
            )
            reading.tell(len(step.records))
            for record in step.records:
                await streamed.send(event_of(record, mark(step.standpoint(record))))
            standpoint = step.end

    async def _follow(
        self,
        streamed: StreamedResponse,
        asked: AskedStream,
        subscriber: Subscriber,
    ) -> None:
        waits = await self._say_what_it_waits_for(streamed)
        checked = monotonic()
        while True:
            events = await subscriber.take(HEARTBEAT_SECONDS)
            if events:
                asked.reading.tell(rows_in(events))
                await streamed.send(events)
            elif subscriber.is_over:
                return
            elif subscriber.is_behind:
                log.warning("subscriber.fell_behind", client=asked.request.remote)
                await streamed.send(notice_event("too_slow"))
                return
            elif subscriber.offered_up_to is not None:
                await streamed.send(heartbeat(mark(Standpoint(subscriber.offered_up_to))))
            # At each heartbeat, too: the timer of the loop may fire a moment early.
            if not events or monotonic() - checked >= HEARTBEAT_SECONDS:
                checked = monotonic()
                if (reason := await self._reason_to_end(asked)) is not None:
                    await streamed.send(notice_event(reason))
                    return
                waits = await self._say_what_it_waits_for(streamed, waited=waits)

    async def _say_what_it_waits_for(
        self, streamed: StreamedResponse, *, waited: bool = False
    ) -> bool:
        """Say for what the stream waits, or that it waits no longer; return whether it does."""
        try:
            problem = await self.open_transaction.problem()
        except StoreError:  # the tail says that the database is away
            return waited
        if problem is not None:
            await streamed.send(waiting_event(problem))
        elif waited:
            await streamed.send(resumed_event())
        return problem is not None

    async def _reason_to_end(self, asked: AskedStream) -> str | None:
        """Return why the stream must not go on, or None.

        A stream can outlive its token or session, and a logical replication that was right.
        """
        try:
            await self.gate.admit(asked.credentials)
            await require_complete(self.subscription)
        except (UnauthorizedError, ForbiddenError):
            return "not_allowed"
        except IncompleteError:
            return "incomplete"
        except (ApiError, StoreError):
            return None  # not decidable now; checked again at the next heartbeat
        return None


def _given(asked: AskedStream) -> tuple[str, str]:
    in_header = RESUME_FIELD in asked.request.headers
    return ("header", RESUME_FIELD) if in_header else ("query", "after")


def _standpoint(asked: AskedStream) -> Standpoint | None:
    # A browser that reconnects repeats its first URL, so its Last-Event-ID is the newer mark.
    text = asked.request.headers.get(RESUME_FIELD, asked.query.after)
    return None if text is None else read_mark(text, *_given(asked))
