"""Bursts: many refused tokens in a short time. Pure: the caller passes the time in."""

from collections import deque
from typing import Final

COUNT: Final = 20
SECONDS: Final = 60.0
QUIET_SECONDS: Final = 600.0
"""At most one burst is announced in this time."""


class Burst:
    """Notices when `COUNT` calls were refused within `SECONDS`."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque(maxlen=COUNT)
        self._told_at: float | None = None

    def begins(self, now: float) -> bool:
        """Count a refusal at *now*, in seconds; return whether a burst is to be announced."""
        self._moments.append(now)
        is_burst = len(self._moments) == COUNT and now - self._moments[0] <= SECONDS
        if not is_burst or (self._told_at is not None and now - self._told_at < QUIET_SECONDS):
            return False
        self._told_at = now
        return True
