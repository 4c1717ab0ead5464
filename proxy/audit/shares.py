"""Shares: how much of a bounded place each caller may take up. Pure.

Any client can invent tokens, so a place that all callers share is divided:

- A known caller may hold as much as is left. Alone it gets half of the place, and a caller that
  comes later still finds room.
- All other callers together have a small part, which they divide in the same way.
"""

from enum import Enum
from typing import Final


class Standing(Enum):
    """What is known of a caller."""

    KNOWN = "known"
    """Its token is a valid one of ours, or the Hub has accepted its tunnel."""
    UNRESOLVED = "unresolved"
    """Nothing yet: the token database has not been asked, or gives no result."""
    UNKNOWN = "unknown"
    """No valid token has this hash, or nothing proves who is calling."""


# A member of an enum is found by a call into its metaclass.
_KNOWN: Final = Standing.KNOWN


class Share:
    """A caller, as far as it matters for what is kept for it.

    No struct: each call reads it often, and of a compiled class that takes no look-up.
    """

    def __init__(self, caller: str, standing: Standing) -> None:
        """*caller* is the hash of its token, or another key."""
        self.caller: Final = caller
        self.standing: Final = standing


class Shares:
    """How many items each caller holds, and whether it may hold one more.

    Each audited call takes a share and gives it back, so both are as short as they can be.
    """

    def __init__(self, total: int, strangers: int, *, each: int | None = None) -> None:
        """Divide *total* items, at most *strangers* of them for callers that are not known.

        *each* is the most for one caller.
        """
        self.total = total
        self._strangers = strangers
        self._each = total if each is None else each
        self._held: dict[str, int] = {}
        self._taken = 0
        self._taken_by_strangers = 0

    def __len__(self) -> int:
        """Return how many items are held."""
        return self._taken

    def take(self, share: Share) -> bool:
        """Take one item for *share*; return False if it may hold no more."""
        held = self._held.get(share.caller, 0)
        if held >= self.total - self._taken or held >= self._each:
            return False
        if share.standing is not _KNOWN:
            if held >= self._strangers - self._taken_by_strangers:
                return False
            self._taken_by_strangers += 1
        self._held[share.caller] = held + 1
        self._taken += 1
        return True

    def give_back(self, share: Share) -> None:
        """Give one item of *share* back."""
        held = self._held[share.caller]
        if held > 1:
            self._held[share.caller] = held - 1
        else:
            del self._held[share.caller]
        self._taken -= 1
        if share.standing is not _KNOWN:
            self._taken_by_strangers -= 1
