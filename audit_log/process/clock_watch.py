"""Looks at PostgreSQL's clock now and then, and says when the local one differs from it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog

from audit_log.clock import DatabaseClock, Sample
from audit_log.errors import StoreError
from audit_log.process.changes import LoggedState

MEASURED_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 5.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Source(Protocol):
    """All that is needed of a database."""

    async def look_at_clock(self, elapsed: Callable[[], float]) -> Sample:
        """Return what its clock says, between two values of *elapsed*. Raise StoreError."""


class ClockWatch:
    """Keeps a `DatabaseClock` up to date with the clock of one database."""

    def __init__(self, database: Source, clock: DatabaseClock) -> None:
        self._database = database
        self._clock = clock
        self._due_at = float("-inf")
        self._told = LoggedState(log, fails="clock.began_to_differ", works="clock.agrees_again")

    async def look(self, *, is_reachable: bool = True) -> None:
        """Measure if a minute has passed, or *is_reachable* was false last time; never raise."""
        if not is_reachable:
            # What answers next may be another server.
            self._due_at = float("-inf")
        elif self._clock.elapsed() >= self._due_at:
            with suppress(StoreError):
                await self._measure()
        self._told.note(self._clock.problem)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _measure(self) -> None:
        sample = await self._database.look_at_clock(self._clock.elapsed)
        self._clock.note(sample)
        self._due_at = sample.answered_at + MEASURED_SECONDS
