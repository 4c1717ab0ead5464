"""When something is overdue: one timer per connection, not one per call."""

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls back when it is due, unless it was moved or cleared meanwhile.

    The timer outlives exchanges and looks for the deadline that holds when it fires: to start and
    stop a timer for each exchange would cost more than the rest of a connection's work.
    """

    __slots__ = ("_due", "_loop", "_overdue", "_seconds", "_timer")

    def __init__(self, seconds: float, overdue: Callable[[], None]) -> None:
        """Call *overdue* when *seconds* have passed since `start`."""
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._overdue = overdue
        self._due = 0.0  # in loop time; 0 while nothing is due
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Be due *seconds* from now."""
        self._due = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._due, self._look)

    def clear(self) -> None:
        """Be due no more. The timer is left to run out."""
        self._due = 0.0

    def end(self) -> None:
        """Stop the timer for good."""
        self._due = 0.0
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if not self._due:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._look)
            return
        self._due = 0.0
        self._overdue()
