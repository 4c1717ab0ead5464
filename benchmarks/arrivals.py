"""Whether each call of a sidecar has its one entry in the audit log."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg

from benchmarks.load import Answers, Target

_PATIENCE_SECONDS: Final = 120
_COUNT: Final = """
SELECT instance, count(*) AS entries, count(DISTINCT request_id) AS calls
FROM mcp_audit_log GROUP BY instance
"""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What became of the calls of one sidecar."""

    calls: int
    missing: int
    twice: int


class Arrivals:
    """Compares calls, told apart by their request ids, with the entries of their instance."""

    def __init__(self, url: str) -> None:
        """Compare with the database at *url*, from now on."""
        self._url = url
        self._before = self._found()
        self._calls = Counter[str]()

    def counted(
        self, instance: str, load: Callable[[Target], Answers]
    ) -> Callable[[Target], Answers]:
        """Return *load*, whose calls count as those of *instance*."""

        def counted(target: Target) -> Answers:
            answers = load(target)
            self._calls[instance] += answers.requests
            return answers

        return counted

    def settle(self, instance: str) -> None:
        """Wait until no call of *instance* is missing; not for ever."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.of(instance).missing > 0 and time.monotonic() < deadline:
            time.sleep(0.2)

    def of(self, instance: str) -> Arrived:
        """Return what became of the calls of *instance*."""
        before, now = (each.get(instance, (0, 0)) for each in (self._before, self._found()))
        entries, calls = now[0] - before[0], now[1] - before[1]
        called = self._calls[instance]
        return Arrived(called, called - calls, entries - calls)

    def _found(self) -> Mapping[str, tuple[int, int]]:
        return asyncio.run(_found(self._url))


async def _found(url: str) -> Mapping[str, tuple[int, int]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(_COUNT)
    await connection.close()
    return {row["instance"]: (row["entries"], row["calls"]) for row in rows}
