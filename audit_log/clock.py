"""PostgreSQL's time, as far as this process knows it: expiry is judged by it.

Theory of operation. A `Sample` is one look at PostgreSQL's clock. It is kept beside a count of
seconds that no one sets (`CLOCK_BOOTTIME`), so that PostgreSQL's time at any later moment is the
sample's time and the seconds since. A step of the local clock changes nothing of that. Of the last
few samples the one with the shortest round trip counts: under load, answers are read late.
A sample that contradicts the kept ones takes their place, because one of the clocks was set.
Before the first sample the local clock is all there is.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

TOLERATED_SECONDS: Final = 5.0
"""How far the local clock may be from PostgreSQL's without a word."""
_SAMPLES: Final = 5
_DRIFT_SECONDS: Final = 0.1
"""By how much clocks may drift apart between the samples that are kept."""


seconds_since_boot: Final[Callable[[], float]] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Returns a count of seconds that goes on in suspension, and that no one sets."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What PostgreSQL's clock said between two moments, both by `seconds_since_boot`."""

    told: datetime
    asked_at: float
    answered_at: float

    @property
    def uncertainty(self) -> float:
        """By how many seconds `origin` may be wrong: half the round trip."""
        return (self.answered_at - self.asked_at) / 2

    @property
    def origin(self) -> float:
        """PostgreSQL's time when the count of seconds was 0, in seconds since 1970."""
        return self.told.timestamp() - (self.asked_at + self.answered_at) / 2

    def contradicts(self, other: "Sample") -> bool:
        """Whether one of the clocks was set between the two."""
        agreed = self.uncertainty + other.uncertainty + _DRIFT_SECONDS
        return abs(self.origin - other.origin) > agreed


class DatabaseClock:
    """PostgreSQL's clock, and how far the local one is from it."""

    def __init__(
        self,
        *,
        local: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = seconds_since_boot,
    ) -> None:
        self.elapsed = elapsed
        """The count of seconds by which samples are taken."""
        self._local = local
        self._samples: deque[Sample] = deque(maxlen=_SAMPLES)
        self._best: Sample | None = None
        self._origin: float | None = None
        """That of the best sample: it is asked for at each call of a token that expires."""

    def note(self, sample: Sample) -> None:
        """Take in a new look at PostgreSQL's clock."""
        if self._best is not None and sample.contradicts(self._best):
            self._samples.clear()
        self._samples.append(sample)
        self._best = min(self._samples, key=lambda known: known.uncertainty)
        self._origin = self._best.origin

    def now(self) -> datetime:
        """Return PostgreSQL's time, or that of the local clock before anything is known."""
        return datetime.fromtimestamp(self._now(), UTC)

    @property
    def offset_seconds(self) -> float | None:
        """How far the local clock is ahead of PostgreSQL's; None before anything is known."""
        return None if self._best is None else self._local() - self._now()

    @property
    def problem(self) -> str | None:
        """What `/readyz` says of a local clock that differs from PostgreSQL's, or None."""
        offset = self.offset_seconds
        if self._best is None or offset is None:
            return None
        if abs(offset) <= TOLERATED_SECONDS + self._best.uncertainty:
            return None
        here = datetime.fromtimestamp(self._local(), UTC)
        return (
            f"the clock here is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} "
            f"PostgreSQL's ({here:%Y-%m-%d %H:%M:%S} UTC here, {self.now():%Y-%m-%d %H:%M:%S} "
            "there): set the one that is wrong. Tokens are judged by PostgreSQL's time; "
            "what is recorded here has the time of this clock"
        )

    def _now(self) -> float:
        return self._local() if self._origin is None else self._origin + self.elapsed()
