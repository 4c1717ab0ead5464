"""The live stream: entries sent to one client as server-sent events, as they arrive."""

from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final

import structlog
from aiohttp import web

from audit_api.access.gate import Gate
from audit_api.errors import ApiError, ForbiddenError, UnauthorizedError
from audit_api.query.cursors import check_standpoint, mark, read_mark
from audit_api.query.endpoint import Asked
from audit_api.query.filter_params import Nothing
from audit_api.query.params import StreamParams
from audit_api.responses import streamed_response
from audit_api.stream.completeness import IncompleteError, require_complete
from audit_api.stream.events import (
    CONTENT_TYPE,
    entry_event,
    heartbeat,
    notice_event,
    waiting_event,
)
from audit_api.stream.streaming import StreamedResponse, streaming
from audit_api.stream.subscribers import Subscriber
from audit_api.stream.tail import STEP_RECORDS, Tail
from audit_log.errors import StoreError
from audit_log.postgres.arrivals import Standpoint, read_on
from audit_log.postgres.database import Database
from audit_log.postgres.reading.sources import RECORDS
from audit_log.postgres.replica import OpenTransaction
from audit_log.schema.subscription import Subscription

HEARTBEAT_SECONDS: Final = 15.0
RESUME_FIELD: Final = "Last-Event-ID"
_FIELDS: Final = {"X-Accel-Buffering": "no"}  # nginx: do not buffer this response
log = structlog.get_logger("audit_api")


@dataclass(frozen=True, slots=True)
class Live:
    """Responds with the live stream."""

    database: Database
    tail: Tail
    gate: Gate
    open_transaction: OpenTransaction
    subscription: Subscription

    async def stream(self, asked: Asked[StreamParams, Nothing]) -> web.StreamResponse:
        """Stream entries as they arrive; first those since the client's mark, if it sent one.

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
            async with streaming(asked.request, CONTENT_TYPE, _FIELDS) as streamed:
                await self._catch_up(streamed, standpoint or Standpoint(since), subscriber)
                await streamed.send(heartbeat(mark(Standpoint(since))))
                await self._say_what_it_waits_for(streamed)
                await self._follow(streamed, asked, subscriber)
        return streamed.response

    async def _catch_up(
        self, streamed: StreamedResponse, standpoint: Standpoint, subscriber: Subscriber
    ) -> None:
        since = subscriber.joined.result()
        while standpoint != Standpoint(since) and not subscriber.is_over:
            step = await read_on(
                self.database,
                RECORDS,
                standpoint,
                wanted=subscriber.wanted,
                until=since,
                limit=STEP_RECORDS,
            )
            for record in step.records:
                await streamed.send(entry_event(record, mark(step.standpoint(record))))
            standpoint = step.end

    async def _follow(
        self,
        streamed: StreamedResponse,
        asked: Asked[StreamParams, Nothing],
        subscriber: Subscriber,
    ) -> None:
        checked = monotonic()
        while True:
            events = await subscriber.take(HEARTBEAT_SECONDS)
            if events:
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
                await self._say_what_it_waits_for(streamed)

    async def _say_what_it_waits_for(self, streamed: StreamedResponse) -> None:
        with suppress(StoreError):  # the tail logs that the database is away
            problem = await self.open_transaction.problem()
            if problem is not None:
                await streamed.send(waiting_event(problem))

    async def _reason_to_end(self, asked: Asked[StreamParams, Nothing]) -> str | None:
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


def _given(asked: Asked[StreamParams, Nothing]) -> tuple[str, str]:
    in_header = RESUME_FIELD in asked.request.headers
    return ("header", RESUME_FIELD) if in_header else ("query", "after")


def _standpoint(asked: Asked[StreamParams, Nothing]) -> Standpoint | None:
    # A browser that reconnects repeats its first URL, so its Last-Event-ID is the newer mark.
    text = asked.request.headers.get(RESUME_FIELD, asked.query.after)
    return None if text is None else read_mark(text, *_given(asked))
