"""One subscriber of the live stream: the events that wait for one client."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from audit_log.filters import CallFilter
from audit_log.postgres.arrivals import Snapshot

MAX_WAITING_BYTES: Final = 2 * 1024 * 1024
"""The most that may wait for one subscriber; a browser takes this in within a second."""


class Subscriber:
    """A bounded queue between the tail, which offers, and one response, which takes.

    The tail never waits for a subscriber. A subscriber that takes too slowly is cut off.
    """

    def __init__(self, wanted: CallFilter) -> None:
        self.wanted = wanted
        self.is_behind = False
        """It took too slowly; its queue was dropped and takes nothing more."""
        self.is_over = False
        """The tail has ended: nothing more will be offered."""
        self.joined: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        """The snapshot it joined with: it is offered all that this snapshot does not show."""
        self.offered_up_to: Snapshot | None = None
        """All that this snapshot shows has been offered."""
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    def offer(self, events: bytes) -> None:
        """Queue *events* if there is room; otherwise mark the subscriber as behind."""
        if self.is_behind:
            return
        if self._waiting and self._bytes + len(events) > MAX_WAITING_BYTES:
            # The queue is dropped as well: the client resumes from the last event it received.
            self.is_behind = True
            self._waiting.clear()
        else:
            self._waiting.append(events)
            self._bytes += len(events)
        self._changed.set()

    def end(self) -> None:
        """Offer nothing more, and wake the response that waits."""
        self.is_over = True
        self._changed.set()
        if not self.joined.done():
            self.joined.cancel()

    async def take(self, seconds: float) -> bytes:
        """Return the next events; b"" after *seconds*, or when there will be none."""
        if not (self._waiting or self.is_behind or self.is_over):
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        if not self._waiting:
            return b""
        events = self._waiting.popleft()
        self._bytes -= len(events)
        return events
