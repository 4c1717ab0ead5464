"""The memory of the token cache: bounded, without a database, without a clock of its own."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Final

import msgspec

from audit_log.tokens import Token


class Missing(Enum):
    """Nothing is remembered. None, in contrast, says that no token has this hash."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


# There may be 100,000. They are part of no reference cycle, so they are hidden from the garbage
# collector, which would stop all calls to visit each of them.
class _Entry(msgspec.Struct, gc=False):
    token_hash: str
    token: Token | None
    asked_at: float
    used_at: float


class TokenMemory:
    """Tokens by their hash. Beyond the limits the least recently used are evicted.

    Times are seconds of one monotonic clock.
    """

    def __init__(self, *, max_known: int, max_unknown: int, unknown_seconds: float) -> None:
        self._known: OrderedDict[str, _Entry] = OrderedDict()
        # Separate, so that a flood of invented tokens cannot evict real ones.
        self._unknown: OrderedDict[str, _Entry] = OrderedDict()
        # The order of refreshes. A forgotten token stays here until its turn comes.
        self._waiting: deque[_Entry] = deque()
        self._max_known = max_known
        self._max_unknown = max_unknown
        self._unknown_seconds = unknown_seconds

    def __len__(self) -> int:
        return len(self._known) + len(self._unknown)

    def __contains__(self, token_hash: str) -> bool:
        return token_hash in self._known or token_hash in self._unknown

    def recall(self, token_hash: str, now: float) -> Token | Missing | None:
        """Return the token, None if no token has this hash, or MISSING; note the use."""
        entry = self._known.get(token_hash)
        if entry is not None:
            entry.used_at = now
            self._known.move_to_end(token_hash)
            return entry.token
        entry = self._unknown.get(token_hash)
        # Short-lived: the token may be created just after it was tried.
        if entry is not None and now - entry.asked_at < self._unknown_seconds:
            return None
        return MISSING

    def learn(self, token_hash: str, token: Token | None, *, asked_at: float, now: float) -> None:
        """Remember *token*, the result of a query sent at *asked_at*.

        A slow result does not replace that of a later query: it may be from before a revocation.
        """
        earlier = self._known.get(token_hash) or self._unknown.get(token_hash)
        if earlier is not None and earlier.asked_at > asked_at:
            return
        if earlier is not None and earlier.token is not None and token is not None:
            # Keeps its place in the order of use: a refresh is not a use.
            earlier.asked_at = asked_at
            if earlier.token != token:  # replacing an equal one would only make garbage
                earlier.token = token
            return
        self._known.pop(token_hash, None)
        self._unknown.pop(token_hash, None)
        self._remember(_Entry(token_hash, token, asked_at=asked_at, used_at=now))

    def turns(self, at_most: Callable[[], int]) -> Iterator[list[str]]:
        """Yield the hashes of all known tokens, *at_most* each time, the longest waiting first.

        Tokens may be learned and forgotten between turns. There is at least one turn, perhaps
        an empty one.
        """
        left = len(self._waiting)
        while True:
            count = min(at_most(), left, len(self._waiting))
            entries = [self._waiting.popleft() for _ in range(count)]
            turn = [entry for entry in entries if self._known.get(entry.token_hash) is entry]
            self._waiting.extend(turn)
            yield [entry.token_hash for entry in turn]
            left -= count
            if left == 0 or not self._waiting:
                return

    def used_since(self, moment: float, hashes: Iterable[str]) -> list[str]:
        """Return those of *hashes* whose known tokens were used at or after *moment*."""
        return [
            token_hash
            for token_hash in hashes
            if (entry := self._known.get(token_hash)) and entry.used_at >= moment
        ]

    def forget_unused_since(self, moment: float, hashes: Iterable[str]) -> None:
        """Forget those of *hashes* whose known tokens were last used before *moment*."""
        for token_hash in hashes:
            entry = self._known.get(token_hash)
            if entry is not None and entry.used_at < moment:
                del self._known[token_hash]

    def _remember(self, entry: _Entry) -> None:
        tokens, limit = self._known, self._max_known
        if entry.token is None:
            tokens, limit = self._unknown, self._max_unknown
        else:
            self._waiting.append(entry)
        tokens[entry.token_hash] = entry
        if len(tokens) > limit:
            tokens.popitem(last=False)
