"""When tool calls are given up."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """What was arranged for later."""

    def cancel(self) -> None:
        """Let it not happen."""


Later = Callable[[float, Callable[[], None]], Timer]
"""Calls the second argument after so many seconds."""


def later(seconds: float, then: Callable[[], None]) -> Timer:
    """Call *then* after *seconds*, in the running loop."""
    return asyncio.get_running_loop().call_later(seconds, then)
