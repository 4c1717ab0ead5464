"""Those who listen to the live tail: what waits for each of them."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from audit_log.filters import RecordFilter
from audit_log.postgres.arrivals import Snapshot

MAX_WAITING_BYTES: Final = 2 * 1024 * 1024
"""How much may wait for one listener; a browser takes this in within a second."""


class Listener:
    """One who listens. The tail offers, the listener hears; neither waits for the other."""

    def __init__(self, wanted: RecordFilter) -> None:
        self.wanted = wanted
        self.is_behind = False
        """It heard too slowly, and hears no more."""
        self.is_over = False
        """There will be nothing more to hear."""
        self.let_in: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        """Since when it hears: all that this snapshot does not show."""
        self.told: Snapshot | None = None
        """All that this snapshot shows has been offered."""
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()

    def offer(self, events: bytes) -> None:
        """Take *events* in if there is room; if not, it has fallen behind."""
        if self.is_behind:
            return
        if self._waiting and self._bytes + len(events) > MAX_WAITING_BYTES:
            # What waits is dropped as well: it goes on from where it is when it comes back.
            self.is_behind = True
            self._waiting.clear()
        else:
            self._waiting.append(events)
            self._bytes += len(events)
        self._changed.set()

    def end(self) -> None:
        """Let it hear nothing more."""
        self.is_over = True
        self._changed.set()
        if not self.let_in.done():
            self.let_in.cancel()

    async def hear(self, seconds: float) -> bytes:
        """Return the next events; nothing after *seconds*, or when there will be none."""
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
