"""Bursts: too many refused tokens in too short a time. Pure: the clock is the caller's."""

from collections import deque
from typing import Final

COUNT: Final = 20
SECONDS: Final = 60.0
QUIET_SECONDS: Final = 600.0
"""One burst is told in this time, however often it ebbs and rises."""


class Burst:
    """Notices when *COUNT* calls in *SECONDS* were refused."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque(maxlen=COUNT)
        self._told_at: float | None = None

    def begins(self, now: float) -> bool:
        """Count a refusal at *now*; say whether that makes a burst to be told."""
        self._moments.append(now)
        is_burst = len(self._moments) == COUNT and now - self._moments[0] <= SECONDS
        if not is_burst or (self._told_at is not None and now - self._told_at < QUIET_SECONDS):
            return False
        self._told_at = now
        return True
