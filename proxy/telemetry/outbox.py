"""The outbox: items that wait to be sent to a receiver outside, such as a collector of traces.

It is bounded and in memory, and a call never waits for it. When it is full the oldest item is
dropped and counted: the items are news, and the audit log itself goes through the journal.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Generic, TypeVar

import structlog

from audit_log.process.background import Begin
from proxy.telemetry.health import Health

DELIVERED: Final = "delivered"
DROPPED: Final = "dropped"
Item = TypeVar("Item")
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Outbox(Generic[Item]):
    """Takes items in without waiting; one task, run by `emptied`, takes them out."""

    def __init__(self, capacity: int, fates: Counter[str]) -> None:
        """Hold at most *capacity* items; count in *fates* what becomes of them."""
        self.fates = fates
        self._capacity = capacity
        self._waiting: deque[Item] = deque()
        self._in_hand = 0
        self._arrival = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = asyncio.Event()

    def offer(self, item: Item) -> None:
        """Take *item* in; drop the oldest if there is no room."""
        if len(self._waiting) >= self._capacity:
            self._waiting.popleft()
            self.fates[DROPPED] += 1
        self._waiting.append(item)
        self._idle.clear()
        self._arrival.set()

    async def take(self, limit: int) -> list[Item]:
        """Return up to *limit* items, oldest first, as soon as there is one.

        Calling it again says that the items returned before are done.
        """
        self._in_hand = 0
        while not self._waiting:
            self._idle.set()
            self._arrival.clear()
            await self._arrival.wait()
        self._in_hand = min(limit, len(self._waiting))
        return [self._waiting.popleft() for _ in range(self._in_hand)]

    async def pause(self, seconds: float) -> bool:
        """Wait for *seconds*, or until `drain` is called; return whether it was not."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return not self._closing.is_set()

    async def drain(self, seconds: float) -> int:
        """Wait until all items are done, *seconds* at most; drop the others, return how many."""
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
    begin: Begin,
    name: str,
    *,
    health: Health,
    drain_seconds: float,
) -> AsyncIterator[None]:
    """Run the task *name*, which empties *outbox*, for the block and *drain_seconds* after it.

    *begin* begins its work.
    """
    async with health.tasks.running(begin, name):
        try:
            yield
        finally:
            if left := await outbox.drain(drain_seconds):
                log.warning("outbox.drain_timed_out", task=name, dropped=left)
