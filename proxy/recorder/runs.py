"""How often the recorder has ended early, in memory that its keeper and the proxy share.

A recorder that ends again and again shows a report each time, as if all was well. So the keeper
notes each end. Failures that follow closely on one another are a series, as for a background task.
"""

import mmap
from collections.abc import Callable
from time import monotonic
from typing import Final

from audit_log.process.background import STEADY_SECONDS

DEAD_SECONDS: Final = 120.0
"""A series of that length does not end by itself: `/healthz` fails."""
_FAILURES, _SERIES, _CODE, _SERIES_BEGAN, _RUN_BEGINS = range(5)


class Runs:
    """The runs of a recorder. The keeper writes, the proxy reads."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Make the memory; it is shared with the processes that are forked from this one."""
        self._clock = clock
        self._words = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("d")

    def note_failure(self, code: int, again_in_seconds: float) -> None:
        """Note that the recorder has ended with *code*, and when it is begun again."""
        words, now = self._words, self._clock()
        if not self._goes_on:
            words[_SERIES], words[_SERIES_BEGAN] = 0, now
        words[_FAILURES] += 1
        words[_SERIES] += 1
        words[_CODE] = code
        words[_RUN_BEGINS] = now + again_in_seconds

    @property
    def failures(self) -> int:
        """How often it has ended early."""
        return int(self._words[_FAILURES])

    @property
    def problem(self) -> str | None:
        """That it has ended and is begun again, or None once a run is steady."""
        if not self._goes_on:
            return None
        return f"the recorder is begun again: {self._told}"

    @property
    def death(self) -> str | None:
        """That it ends again and again, or None."""
        if not self._goes_on or self._clock() - self._words[_SERIES_BEGAN] < DEAD_SECONDS:
            return None
        return f"the recorder cannot live: {self._told}"

    @property
    def _goes_on(self) -> bool:
        since = self._clock() - self._words[_RUN_BEGINS]
        return self._words[_SERIES] > 0 and since < STEADY_SECONDS

    @property
    def _told(self) -> str:
        times, code = int(self._words[_SERIES]), int(self._words[_CODE])
        return f"it has ended {times} times in succession, last with exit code {code}"
