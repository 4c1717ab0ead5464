"""Bursts: too many refused tokens in too short a time. Pure: the clock is the caller's."""

from collections import deque
from typing import Final

COUNT: Final = 20
SECONDS: Final = 60.0


class Burst:
    """Notices when *COUNT* calls in *SECONDS* were refused; once, until it has been quiet."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque(maxlen=COUNT)
        self._is_going_on = False

    def begins(self, now: float) -> bool:
        """Count a refusal at *now*; say whether a burst begins with it."""
        if self._moments and now - self._moments[-1] >= SECONDS:
            self._moments.clear()
            self._is_going_on = False
        self._moments.append(now)
        if self._is_going_on or len(self._moments) < COUNT or now - self._moments[0] > SECONDS:
            return False
        self._is_going_on = True
        return True
