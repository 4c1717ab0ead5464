"""Links that sign a browser in, each once: `…/settings/mcp/activity#sign-in=CODE`.

The code stands in the fragment, which browsers send neither to a server nor as Referer: no log of
the audit API or of a proxy has it. The page takes it out of the address and posts it.

Codes are kept in this process's memory: a code that two replicas knew could be used at both. So a
link works at the replica that made it.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audit_log.tokens import hash_token

LINK_LIFETIME: Final = timedelta(minutes=5)
MOST_LINKS: Final = 100
"""How many unused links are kept; a further one takes the place of the oldest."""


@dataclass(frozen=True, slots=True, repr=False)
class SignInLink:
    """A link that was just made. Without repr: the code is a credential."""

    code: str
    expires_at: datetime


class SignInLinks:
    """Makes codes and takes each back once."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._unused: dict[str, tuple[str, datetime]] = {}
        """By the hash of each code: the hash of its token, and when it expires."""

    def issue(self, token_hash: str) -> SignInLink:
        """Return a new link for the token with *token_hash*, good for five minutes."""
        link = SignInLink(secrets.token_urlsafe(32), self._now() + LINK_LIFETIME)
        if len(self._unused) >= MOST_LINKS:
            del self._unused[next(iter(self._unused))]
        self._unused[hash_token(link.code)] = token_hash, link.expires_at
        return link

    def redeem(self, code: str) -> str | None:
        """Return the hash of the token that *code* stands for; None if it is used or expired."""
        token_hash, expires_at = self._unused.pop(hash_token(code), (None, None))
        return None if expires_at is None or expires_at <= self._now() else token_hash
