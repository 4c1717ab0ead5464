"""Tool calls by a key, in the order in which they were added: no look-up walks through others."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")
Call = TypeVar("Call")


class CallsByKey(Generic[Key, Call]):
    """Open tool calls. Several may have one key: clients use ids again."""

    def __init__(self) -> None:
        self._keys: dict[Call, Key] = {}
        self._calls: dict[Key, dict[Call, None]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._keys)

    def __iter__(self) -> Iterator[Call]:
        """Return an iterator over a copy, the oldest first: they may be removed meanwhile."""
        return iter(list(self._keys))

    def add(self, key: Key, call: Call) -> None:
        """Make *call* findable by *key*."""
        self._keys[call] = key
        self._calls.setdefault(key, {})[call] = None

    def oldest(self) -> Call:
        """Return the oldest of all; raises StopIteration if there is none."""
        return next(iter(self._keys))

    def find(self, key: Key) -> Call | None:
        """Return the oldest with *key*, or None."""
        return next(iter(self._calls.get(key, ())), None)

    def find_only(self, key: Key) -> Call | None:
        """Return the one with *key* if there are no others, or None."""
        calls = self._calls.get(key, {})
        return next(iter(calls)) if len(calls) == 1 else None

    def find_all(self, key: Key) -> list[Call]:
        """Return all with *key*, the oldest first."""
        return list(self._calls.get(key, ()))

    def remove(self, call: Call) -> Key:
        """Forget *call*; return its key."""
        key = self._keys.pop(call)
        calls = self._calls[key]
        del calls[call]
        if not calls:
            del self._calls[key]
        return key
