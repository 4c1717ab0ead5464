"""Waits for an audit API that is away, a little longer each time."""

import asyncio
from typing import Final

from audit_api.client.refusals import OutOfReachError
from audit_api.terminal.screen import Screen

_FIRST_SECONDS: Final = 0.5
_MOST_SECONDS: Final = 15.0


class Patience:
    """Says once that it waits, and once that it goes on."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._seconds = _FIRST_SECONDS
        self._waits = False
        self.has_succeeded = False
        """Whether it was there once: what was never there may be a wrong address."""

    async def wait(self, error: OutOfReachError) -> None:
        """Return when it is time to try again."""
        if not self._waits:
            self._screen.remark(f"{error}; going on when it is back")
        self._waits = True
        await asyncio.sleep(self._seconds)
        self._seconds = min(2 * self._seconds, _MOST_SECONDS)

    def succeeded(self) -> None:
        """Learn that it is there."""
        if self._waits:
            self._screen.remark("the audit API is back")
        self._seconds, self._waits, self.has_succeeded = _FIRST_SECONDS, False, True
