"""Calm: how much of the machine others use, and waiting until that is little."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.process import family_seconds

CALM_SHARE: Final = 0.07
_SAMPLE_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 15.0
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Disturbance:
    """What part of the machine was used by others; known when the block has ended."""

    share = 1.0


@contextmanager
def noticing_others() -> Iterator[Disturbance]:
    """Yield what will say how much others disturbed the block: processes that we did not start.

    The kernel's own threads count as others, and so does a host that gives us less than it says.
    """
    disturbance = Disturbance()
    idle, own, began = _idle_seconds(), family_seconds(os.getpid()), time.monotonic()
    yield disturbance
    available = (time.monotonic() - began) * (os.cpu_count() or 1)
    used = (_idle_seconds() - idle) + (family_seconds(os.getpid()) - own)
    disturbance.share = max(0.0, 1 - used / available)


class Patience:
    """How long a whole run may wait for others to be done, and do again what they disturbed."""

    def __init__(self, seconds: float) -> None:
        """Have *seconds* to spend."""
        self._left = seconds

    @property
    def is_at_an_end(self) -> bool:
        """Say whether what comes next must be taken as it is."""
        return self._left <= 0

    def spend(self, seconds: float) -> None:
        """Count *seconds* that were of no use."""
        self._left -= seconds

    def wait_for_calm(self) -> None:
        """Wait until others use next to nothing of the machine, but not for ever."""
        share = 1.0
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        while share > CALM_SHARE and not self.is_at_an_end and time.monotonic() < deadline:
            with noticing_others() as disturbance:
                time.sleep(_SAMPLE_SECONDS)
            share = disturbance.share
            self.spend(_SAMPLE_SECONDS)


def _idle_seconds() -> float:
    # proc_stat(5): user, nice, system, idle, iowait, … of all processors together.
    times = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return (int(times[3]) + int(times[4])) / _TICKS_PER_SECOND
