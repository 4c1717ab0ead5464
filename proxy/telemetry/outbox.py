"""The outbox: what waits to be told to a listener outside, such as a collector of traces.

Bounded, in memory, and never in a call's way. When it is full the oldest gives way to the newest,
and is counted: what is told here is news, the audit log itself goes through the journal.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Final, Generic, TypeVar

import structlog

from proxy.telemetry.health import Health

DELIVERED: Final = "delivered"
DROPPED: Final = "dropped"
Item = TypeVar("Item")
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Outbox(Generic[Item]):
    """Takes items in from anywhere in the loop; one task, run by `emptied`, takes them out."""

    def __init__(self, capacity: int, fates: Counter[str]) -> None:
        """Hold *capacity* items; count in *fates* what becomes of them."""
        self.fates = fates
        self._capacity = capacity
        self._waiting: deque[Item] = deque()
        self._in_hand = 0
        self._arrival = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = asyncio.Event()

    def offer(self, item: Item) -> None:
        """Take *item* in, at the cost of the oldest if there is no room."""
        if len(self._waiting) >= self._capacity:
            self._waiting.popleft()
            self.fates[DROPPED] += 1
        self._waiting.append(item)
        self._idle.clear()
        self._arrival.set()

    async def take(self, limit: int) -> list[Item]:
        """Return up to *limit* items, oldest first, as soon as there is one.

        To ask again says that those taken before are dealt with.
        """
        self._in_hand = 0
        while not self._waiting:
            self._idle.set()
            self._arrival.clear()
            await self._arrival.wait()
        self._in_hand = min(limit, len(self._waiting))
        return [self._waiting.popleft() for _ in range(self._in_hand)]

    async def pause(self, seconds: float) -> bool:
        """Wait for *seconds*, less at the stop; say whether there is time for more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return not self._closing.is_set()

    async def drain(self, seconds: float) -> int:
        """Wait until all is dealt with, *seconds* at most; count what is not as dropped."""
        self._closing.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        left = len(self._waiting) + self._in_hand
        self.fates[DROPPED] += left
        return left


@asynccontextmanager
async def emptied(
    outbox: Outbox[Item],
    work: Coroutine[object, object, None],
    name: str,
    *,
    health: Health,
    drain_seconds: float,
) -> AsyncIterator[None]:
    """Run *work*, which takes from *outbox*, for the block and *drain_seconds* more at most."""
    async with health.watched(work, name):
        try:
            yield
        finally:
            if left := await outbox.drain(drain_seconds):
                log.warning("outbox.drain_timed_out", task=name, dropped=left)
