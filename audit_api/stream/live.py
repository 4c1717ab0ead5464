"""The stream: entries told to one listener as they arrive."""

from dataclasses import dataclass
from time import monotonic
from typing import Final

import structlog
from aiohttp import web

from audit_api.access.gate import Gate
from audit_api.errors import ApiError, ForbiddenError, UnauthorizedError
from audit_api.query.asking import Asked
from audit_api.query.cursors import check_standpoint, mark, read_mark
from audit_api.query.params import Nothing, StreamParams
from audit_api.responses import streamed_response
from audit_api.stream.events import CONTENT_TYPE, entry_event, heartbeat, notice_event
from audit_api.stream.streaming import StreamedResponse, streaming
from audit_api.stream.subscribers import Listener
from audit_api.stream.tail import STEP_RECORDS, Tail
from audit_log.errors import StoreError
from audit_log.postgres.arrivals import Standpoint, read_on
from audit_log.postgres.database import Database

HEARTBEAT_SECONDS: Final = 15.0
RESUME_FIELD: Final = "Last-Event-ID"
_FIELDS: Final = {"X-Accel-Buffering": "no"}  # nginx: pass it on as it comes
log = structlog.get_logger("audit_api")


@dataclass(frozen=True, slots=True)
class Live:
    """Answers with the live tail."""

    database: Database
    tail: Tail
    gate: Gate

    async def stream(self, asked: Asked[StreamParams, Nothing]) -> web.StreamResponse:
        """Answer entries as they arrive; first those since the caller was here last."""
        standpoint = _standpoint(asked)
        if asked.wants_no_body:
            return streamed_response(CONTENT_TYPE, _FIELDS)
        async with self.tail.listening(asked.query.filter()) as listener:
            since = listener.let_in.result()
            if standpoint is not None:
                check_standpoint(standpoint, since, *_given(asked))
            async with streaming(asked.request, CONTENT_TYPE, _FIELDS) as answer:
                await self._catch_up(answer, standpoint or Standpoint(since), listener)
                await answer.send(heartbeat(mark(Standpoint(since))))
                await self._follow(answer, asked, listener)
        return answer.response

    async def _catch_up(
        self, answer: StreamedResponse, standpoint: Standpoint, listener: Listener
    ) -> None:
        since = listener.let_in.result()
        while standpoint != Standpoint(since) and not listener.is_over:
            step = await read_on(
                self.database, standpoint, wanted=listener.wanted, until=since, limit=STEP_RECORDS
            )
            for record in step.records:
                await answer.send(entry_event(record, mark(step.standpoint(record))))
            standpoint = step.end

    async def _follow(
        self, answer: StreamedResponse, asked: Asked[StreamParams, Nothing], listener: Listener
    ) -> None:
        checked = monotonic()
        while True:
            events = await listener.hear(HEARTBEAT_SECONDS)
            if events:
                await answer.send(events)
            elif listener.is_over:
                return
            elif listener.is_behind:
                log.warning("listener.fell_behind", client=asked.request.remote)
                await answer.send(notice_event("too_slow"))
                return
            elif listener.told is not None:
                await answer.send(heartbeat(mark(Standpoint(listener.told))))
            if monotonic() - checked >= HEARTBEAT_SECONDS:
                checked = monotonic()
                if not await self._may_stay(asked):
                    await answer.send(notice_event("not_allowed"))
                    return

    async def _may_stay(self, asked: Asked[StreamParams, Nothing]) -> bool:
        """Say whether the caller still may read: a stream outlasts tokens and sessions."""
        try:
            await self.gate.admit(asked.credentials)
        except (UnauthorizedError, ForbiddenError):
            return False
        except (ApiError, StoreError):
            return True  # nobody can tell now; it is asked again
        return True


def _given(asked: Asked[StreamParams, Nothing]) -> tuple[str, str]:
    in_header = RESUME_FIELD in asked.request.headers
    return ("header", RESUME_FIELD) if in_header else ("query", "after")


def _standpoint(asked: Asked[StreamParams, Nothing]) -> Standpoint | None:
    # A browser that reconnects repeats the address it began with, and says better where it is.
    text = asked.request.headers.get(RESUME_FIELD, asked.query.after)
    return None if text is None else read_mark(text, *_given(asked))
