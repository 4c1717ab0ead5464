"""The files in memory while calls go on: more slots, and new files for removed ones.

Calls never wait for any of this: to allocate a region takes the kernel a millisecond.
"""

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Final

import structlog

from audit_log.process.disk_thread import in_disk_thread
from proxy.journal.calls import Calls
from proxy.journal.parts import Parts
from proxy.journal.ring import Ring

LOOK_SECONDS: Final = 1.0
_THREAD: Final = "journal-memory"
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class MemoryUpkeep:
    """Adds slots when they are short, and replaces files that were removed.

    Belongs to the loop that appends.
    """

    def __init__(self, parts: Parts) -> None:
        self._ring = parts.ring
        self._calls = parts.calls
        self._calls.wants_slots = self.want_slots
        self._wanted = asyncio.Event()
        self._looked_at = monotonic()
        self.problem: str | None = None
        """Why a removed file is not replaced, or None."""

    def want_slots(self) -> None:
        """Learn that slots are short."""
        self._wanted.set()

    async def run(self) -> None:
        """Look after the files for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wanted.wait()
            self._wanted.clear()
            if self._calls.is_short:
                await in_disk_thread(_THREAD, self._calls.add_region)
            if monotonic() - self._looked_at >= LOOK_SECONDS:
                await self._look()
                self._looked_at = monotonic()

    async def _look(self) -> None:
        self.problem = None
        for part in (self._ring, self._calls):
            if part.file.is_unlinked:
                try:
                    await self._renew(part)
                except OSError as error:
                    self.problem = f"{part.path} was removed and cannot be made anew: {error}"
        self._ring.tell_of_twin()

    async def _renew(self, part: Ring | Calls) -> None:
        """Give *part* a new file; raise OSError when there is no room."""
        if part.path is None:
            return
        twin = await in_disk_thread(_THREAD, part.file.twin)
        part.change_to(twin)
        await in_disk_thread(_THREAD, twin.settle, part.path)
        log.error("journal.file_renewed", path=str(part.path))
