"""One read under way: recorded before what it tells can be known."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from audit_api.errors import ApiError
from audit_api.reads.page_views import PageViews
from audit_api.reads.read_log import ReadLog
from audit_api.reads.read_metrics import ReadMetrics
from audit_log.reads import Read, ReadKind
from audit_log.record import new_record_id

CUT_SHORT: Final = 499
"""The status of an export that was not sent to its end."""
_TELLING: Final = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})
"""The statuses that tell something: also that there is no such entry, or that it was altered."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """What readings need."""

    reads: ReadLog
    views: PageViews
    metrics: ReadMetrics
    now: Callable[[], datetime]


class Reading:
    """One request of an admitted reader. What tells nothing, such as a 422, is not recorded."""

    def __init__(
        self, recorder: Recorder, read: Read, *, view: object = None, is_head: bool = False
    ) -> None:
        """Record *read*; with a *view* only the first of those with the same view."""
        self._recorder = recorder
        self._read = read
        self._view = view
        self._is_head = is_head
        self._has_begun = False
        self._is_stored = False
        self._rows = 0
        self.is_whole = False
        """Whether an export was sent to its end."""
        self.goes_on = False
        """Whether it continues an earlier part: then it is recorded only if it tells something.

        A program that follows the log asks every few seconds what has come.
        """

    def tell(self, rows: int) -> None:
        """Count *rows* that the reader is told."""
        if not self._is_head:
            self._rows += rows
            self._recorder.metrics.told(self._read.kind, rows)

    async def begin(self) -> None:
        """Record that an export or a stream begins. What it told is recorded at its end.

        Raises ReadNotRecordedError.
        """
        self._has_begun = True
        self._recorder.metrics.began(self._read.kind)
        await self._record(self._read)

    async def answered(self, response: Awaitable[web.StreamResponse]) -> web.StreamResponse:
        """Return the *response*, when the read is recorded.

        Raises ReadNotRecordedError, and what *response* raises.
        """
        try:
            made = await response
        except ApiError as error:
            await self._end(error.status)
            raise
        except BaseException:
            self._end_of_long()
            raise
        await self._end(made.status)
        return made

    async def _end(self, status: int) -> None:
        if self._has_begun:
            self._end_of_long()
        elif status in _TELLING and (self._rows or not self.goes_on):
            await self._record(self._with(status))

    def _end_of_long(self) -> None:
        """Record how an export or a stream ended. Nothing waits for it: all is told."""
        if not self._has_begun:
            return
        self._recorder.metrics.ended(self._read.kind)
        if self._is_stored:
            is_cut = self._read.kind is not ReadKind.STREAM and not self.is_whole
            read = self._with(CUT_SHORT if is_cut else HTTPStatus.OK)
            self._recorder.reads.offer(
                msgspec.structs.replace(
                    read,
                    id=new_record_id(),
                    created_at=self._recorder.now(),
                    began=self._read.id,
                )
            )

    def _with(self, status: int) -> Read:
        return msgspec.structs.replace(self._read, status_code=int(status), rows_told=self._rows)

    async def _record(self, read: Read) -> None:
        async def store() -> None:
            await self._recorder.reads.append(read)
            self._is_stored = True
            self._recorder.metrics.recorded(read)

        if self._view is None:
            await store()
        else:
            await self._recorder.views.once(self._view, store)
