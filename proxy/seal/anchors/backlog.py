"""What one anchor lacks of one log, and when it is due: pure, over a clock's seconds."""

from collections.abc import Callable
from dataclasses import dataclass
from random import SystemRandom
from typing import Final

from proxy.seal.anchors.anchor import Offer

FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 300.0
"""An anchor that is away for days costs an attempt in five minutes."""
_MOST_DOUBLINGS: Final = 16
_jitter = SystemRandom().uniform


@dataclass(slots=True)
class Backlog:
    """The newest checkpoint of one log that the anchor lacks: it stands for all before it."""

    every_seconds: float
    """How long after a checkpoint the next one is sent at the earliest."""
    due_at: float = 0.0
    newest: Offer | None = None
    refusal: str | None = None
    """Why the anchor refused this log when it was last asked."""
    jitter: Callable[[float, float], float] = _jitter
    _failures: int = 0
    _lacks_since: float = 0.0
    """When the first checkpoint was offered that the anchor lacks."""
    _in_hand: Offer | None = None
    _next_since: float | None = None
    """When the first checkpoint was offered behind the one in hand."""

    def take_in(self, offer: Offer, now: float) -> None:
        """Keep *offer* in place of an older one."""
        if self.newest is None:
            self._lacks_since = now
        elif self._in_hand is not None and self._next_since is None:
            self._next_since = now
        self.newest = offer

    def lag_seconds(self, now: float) -> float:
        """How long ago the first checkpoint was offered that the anchor lacks; 0 if it has all."""
        return 0.0 if self.newest is None else max(now - self._lacks_since, 0.0)

    def hurry(self, now: float) -> None:
        """Make what waits due *now*, whatever the pace, unless an attempt has failed."""
        if self.is_hurried:
            self.due_at = now

    @property
    def is_hurried(self) -> bool:
        """Whether something waits that needs no retry."""
        return self.newest is not None and self.refusal is None and self._failures == 0

    def begin(self) -> Offer | None:
        """Return what to send; None if nothing waits."""
        self._in_hand, self._next_since = self.newest, None
        return self._in_hand

    def succeeded(self, now: float) -> None:
        """Note that the anchor has taken what `begin` returned."""
        if self.newest is self._in_hand:
            self.newest = None
        elif self._next_since is not None:
            self._lacks_since = self._next_since
        self._in_hand = self.refusal = None
        self._failures = 0
        self.due_at = now + self.every_seconds

    def failed(self, now: float) -> None:
        """Note that an attempt failed: the next one waits about twice as long."""
        delay = FIRST_DELAY_SECONDS * 2.0 ** min(self._failures, _MOST_DOUBLINGS)
        longest = min(delay, LONGEST_DELAY_SECONDS)
        self._in_hand = None
        self._failures += 1
        self.due_at = now + self.jitter(longest / 2, longest)

    def refused(self, reason: str, now: float) -> None:
        """Note that the anchor refused for *reason*: an operator has to look into it."""
        self._in_hand, self.refusal = None, reason
        self.due_at = now + LONGEST_DELAY_SECONDS
