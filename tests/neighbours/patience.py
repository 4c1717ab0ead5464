"""Waiting for what no event tells of: look again and again, under a time limit."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

PATIENCE_SECONDS: Final = 45
_FIRST_SECONDS: Final = 0.02
_LONGEST_SECONDS: Final = 0.2
_LONGER: Final = 1.25
"""Each pause is so much longer than the one before: what is long in coming costs no more looks."""
Found = TypeVar("Found")


async def eventually(
    look: Callable[[], Awaitable[Found | None]], report: Callable[[], str] = str
) -> Found:
    """Return what *look* finds, as soon as it is something; fail with *report* if it never is."""
    pause = _FIRST_SECONDS
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := await look()):
                await asyncio.sleep(pause)
                pause = min(pause * _LONGER, _LONGEST_SECONDS)
            return found
    except TimeoutError as error:
        raise AssertionError(f"it never happened\n{report()}") from error
