"""What the cache remembers: bounded, without a database, without a clock of its own."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final

import msgspec

from audit_log.tokens import Token


class Missing(Enum):
    """Nothing is remembered. Not to be taken for None, which says that nobody has this token."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


# There may be 100,000. They refer to nothing that refers back, so the garbage collector, which
# would stop all calls to look at each, need not know of them.
class _Answer(msgspec.Struct, gc=False):
    token_hash: str
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
        # Whose turn it is to be asked for again. One that was forgotten waits here for its turn.
        self._waiting: deque[_Answer] = deque()
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
        earlier = self._known.get(token_hash) or self._unknown.get(token_hash)
        if earlier is not None and earlier.asked_at > asked_at:
            return
        if earlier is not None and earlier.token is not None and token is not None:
            # In its place: to be asked for again is not to be used.
            earlier.asked_at = asked_at
            if earlier.token != token:  # an equal one in its place is only more to collect
                earlier.token = token
            return
        self._known.pop(token_hash, None)
        self._unknown.pop(token_hash, None)
        self._remember(_Answer(token_hash, token, asked_at=asked_at, used_at=now))

    def turns(self, at_most: int) -> Iterator[list[str]]:
        """Yield the hashes of all known tokens, *at_most* at a time, who waits longest first.

        Tokens may be learned and forgotten in between. There is at least one turn, even if empty.
        """
        left = len(self._waiting)
        while True:
            count = min(at_most, left, len(self._waiting))
            answers = [self._waiting.popleft() for _ in range(count)]
            turn = [answer for answer in answers if self._known.get(answer.token_hash) is answer]
            self._waiting.extend(turn)
            yield [answer.token_hash for answer in turn]
            left -= count
            if left == 0 or not self._waiting:
                return

    def used_since(self, moment: float, hashes: Iterable[str]) -> list[str]:
        """Return those of *hashes* whose known tokens were used at or after *moment*."""
        return [
            token_hash
            for token_hash in hashes
            if (answer := self._known.get(token_hash)) and answer.used_at >= moment
        ]

    def forget_unused_since(self, moment: float, hashes: Iterable[str]) -> None:
        """Forget those of *hashes* whose known tokens were last used before *moment*."""
        for token_hash in hashes:
            answer = self._known.get(token_hash)
            if answer is not None and answer.used_at < moment:
                del self._known[token_hash]

    def _remember(self, answer: _Answer) -> None:
        shelf, room = self._known, self._max_known
        if answer.token is None:
            shelf, room = self._unknown, self._max_unknown
        else:
            self._waiting.append(answer)
        shelf[answer.token_hash] = answer
        if len(shelf) > room:
            shelf.popitem(last=False)
