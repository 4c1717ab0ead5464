"""Answers that were dear, kept for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, Generic, TypeVar

SHARE: Final = 0.05
"""How much of PostgreSQL's time one question may take, however often it is asked."""
MAX_KEPT: Final = 100
Answer = TypeVar("Answer")


class Cache(Generic[Answer]):
    """Keeps an answer twenty times as long as it took to find.

    So a small log is always answered afresh, and a large one is not counted over and over. Who
    asks while the same is being found waits for that.
    """

    def __init__(self) -> None:
        self._kept: dict[object, tuple[Answer, float]] = {}
        self._finding: dict[object, asyncio.Lock] = {}

    async def answer(self, question: object, find: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer to *question*, from memory or by *find*."""
        lock = self._finding.setdefault(question, asyncio.Lock())
        try:
            async with lock:
                kept = self._kept.get(question)
                if kept is not None and monotonic() < kept[1]:
                    return kept[0]
                began = monotonic()
                answer = await find()
                ended = monotonic()
                self._keep(question, answer, ended + (ended - began) / SHARE)
                return answer
        finally:
            if not lock.locked():
                self._finding.pop(question, None)

    def _keep(self, question: object, answer: Answer, until: float) -> None:
        now = monotonic()
        self._kept = {key: kept for key, kept in self._kept.items() if kept[1] > now}
        if len(self._kept) >= MAX_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[question] = (answer, until)
