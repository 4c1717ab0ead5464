"""What the directory remembers: bounded, without a database, without a clock of its own."""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Final

from audit_log.tokens import Token


class Missing(Enum):
    """Nothing is remembered. Not to be taken for None, which says that nobody has this token."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


@dataclass(slots=True)
class _Answer:
    token: Token | None
    asked_at: float
    used_at: float


class TokenMemory:
    """Answers by token hash. The least recently used give way when there are too many.

    Times are seconds of any one monotonic clock.
    """

    def __init__(self, *, max_known: int, max_unknown: int, unknown_seconds: float) -> None:
        self._known: OrderedDict[str, _Answer] = OrderedDict()
        # Apart, so that a flood of invented tokens cannot push out real ones.
        self._unknown: OrderedDict[str, _Answer] = OrderedDict()
        self._max_known = max_known
        self._max_unknown = max_unknown
        self._unknown_seconds = unknown_seconds

    def __len__(self) -> int:
        return len(self._known) + len(self._unknown)

    def __contains__(self, token_hash: str) -> bool:
        return token_hash in self._known or token_hash in self._unknown

    def recall(self, token_hash: str, now: float) -> Token | Missing | None:
        """Return the token, None if nobody has it, or MISSING; note that it was used."""
        answer = self._known.get(token_hash)
        if answer is not None:
            answer.used_at = now
            self._known.move_to_end(token_hash)
            return answer.token
        answer = self._unknown.get(token_hash)
        # Short-lived: a token may be made just after somebody tried it.
        if answer is not None and now - answer.asked_at < self._unknown_seconds:
            return None
        return MISSING

    def learn(self, token_hash: str, token: Token | None, *, asked_at: float, now: float) -> None:
        """Remember what the database answered to a question put at *asked_at*.

        A slow answer does not replace one to a later question: it may be from before a revocation.
        """
        earlier = self._known.pop(token_hash, None) or self._unknown.pop(token_hash, None)
        if earlier is None:
            answer = _Answer(token, asked_at, used_at=now)
        elif earlier.asked_at > asked_at:
            answer = earlier
        else:
            answer = _Answer(token, asked_at, used_at=earlier.used_at)
        self._remember(token_hash, answer)

    def used_since(self, moment: float) -> list[str]:
        """Return the hashes of known tokens used at or after *moment*."""
        return [key for key, answer in self._known.items() if answer.used_at >= moment]

    def forget_unused_since(self, moment: float) -> None:
        """Forget the known tokens last used before *moment*."""
        for token_hash in [k for k, answer in self._known.items() if answer.used_at < moment]:
            del self._known[token_hash]

    def _remember(self, token_hash: str, answer: _Answer) -> None:
        shelf = self._unknown if answer.token is None else self._known
        shelf[token_hash] = answer
        if len(shelf) > (self._max_unknown if answer.token is None else self._max_known):
            shelf.popitem(last=False)
