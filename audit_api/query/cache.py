"""A cache for expensive queries."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, Generic, TypeVar

SHARE: Final = 0.05
"""The share of PostgreSQL's time that one query may take, however often it is requested."""
MAX_ENTRIES: Final = 100
Result = TypeVar("Result")


class Cache(Generic[Result]):
    """Keeps each result twenty times as long as it took to load.

    A small log is therefore read afresh each time, and a large one is not counted over and over.
    Concurrent callers with the same key share one load.
    """

    def __init__(self) -> None:
        self._results: dict[object, tuple[Result, float]] = {}
        self._loading: dict[object, asyncio.Lock] = {}

    async def get(self, key: object, load: Callable[[], Awaitable[Result]]) -> Result:
        """Return the result for *key*, cached or by *load*. Errors of *load* are not cached."""
        lock = self._loading.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                cached = self._results.get(key)
                if cached is not None and monotonic() < cached[1]:
                    return cached[0]
                began = monotonic()
                result = await load()
                ended = monotonic()
                self._keep(key, result, ended + (ended - began) / SHARE)
                return result
        finally:
            if not lock.locked():
                self._loading.pop(key, None)

    def _keep(self, key: object, result: Result, until: float) -> None:
        now = monotonic()
        self._results = {other: kept for other, kept in self._results.items() if kept[1] > now}
        if len(self._results) >= MAX_ENTRIES:
            self._results.pop(next(iter(self._results)))
        self._results[key] = (result, until)
