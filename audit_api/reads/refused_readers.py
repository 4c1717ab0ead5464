"""What the audit API refused: each is counted, and recorded within a bound.

A stranger can be refused as often as it likes. So the first refusal of a caller is logged and
recorded at once, and how many followed for the same reason a minute later, as one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Final

import msgspec
import structlog

from audit_api.reads.read_log import ReadLog
from audit_api.reads.read_metrics import ReadMetrics
from audit_log.process.background import BackgroundTasks
from audit_log.reads import Read
from audit_log.record import new_record_id

WINDOW_SECONDS: Final = 60.0
MOST_CALLERS: Final = 200
"""So many callers are told apart in a minute; further ones are one caller without an address."""
_LOOK_SECONDS: Final = 5.0
log: structlog.stdlib.BoundLogger = structlog.get_logger("audit_api")


@dataclass(slots=True)
class _Window:
    """One caller that was refused for one reason."""

    read: Read
    reason: str
    began: float
    more: int = 0
    """Refusals since the first."""


class Refusals:
    """Records callers that may not read. They were told nothing, so nothing waits for it."""

    def __init__(self, reads: ReadLog, metrics: ReadMetrics, now: Callable[[], datetime]) -> None:
        self._reads = reads
        self._metrics = metrics
        self._now = now
        self._windows: dict[object, _Window] = {}

    def note(self, read: Read, reason: str, *, is_stranger: bool) -> None:
        """Take in that the caller of *read* was refused; a stranger has shown no credentials."""
        self._metrics.refused(read.status_code, is_stranger=is_stranger)
        key: object = (read.client_ip, read.reader, reason)
        if key not in self._windows and len(self._windows) >= MOST_CALLERS:
            key, reason = None, "further callers"
            read = msgspec.structs.replace(read, client_ip=None, reader=None)
        if (window := self._windows.get(key)) is not None:
            window.more += 1
            return
        self._windows[key] = _Window(read, reason, monotonic())
        self._offer(read)
        # A browser that is not signed in asks once for the page, and has tried nothing.
        _tell(read, reason, log.info if is_stranger else log.warning)

    async def close_windows(self) -> None:
        """Record again and again how many refusals followed a first one."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.close(monotonic() - WINDOW_SECONDS)

    def close(self, before: float) -> None:
        """Record what followed the first refusals of *before*, by the monotonic clock."""
        over = [key for key, window in self._windows.items() if window.began <= before]
        for key in over:
            window = self._windows.pop(key)
            if window.more:
                read = msgspec.structs.replace(
                    window.read, id=new_record_id(), created_at=self._now(), times=window.more
                )
                self._offer(read)
                _tell(read, window.reason, log.warning)

    def _offer(self, read: Read) -> None:
        self._reads.offer(read)
        self._metrics.recorded(read)


@asynccontextmanager
async def noting_refusals(refusals: Refusals, tasks: BackgroundTasks) -> AsyncIterator[Refusals]:
    """Close the windows of *refusals* beside the block, and all that are open at its end."""
    try:
        async with tasks.running(refusals.close_windows, "refusals"):
            yield refusals
    finally:
        refusals.close(monotonic())


def _tell(read: Read, reason: str, say: Callable[..., None]) -> None:
    say(
        "reader.refused",
        client=read.client_ip,
        reader=read.reader,
        reason=reason,
        question=read.question,
        times=read.times,
    )
