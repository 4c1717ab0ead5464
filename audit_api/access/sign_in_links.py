"""Links that sign a browser in, each once: `…/settings/mcp/activity#sign-in=CODE`.

The code stands in the fragment, which browsers send neither to a server nor as Referer: no log of
the audit API or of a proxy has it. The page takes it out of the address and posts it.

Codes are kept in this process's memory: a code that two replicas knew could be used at both. So a
link works at the replica that made it.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audit_api.errors import NotNowError
from audit_log.errors import StoreUnavailableError
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

    @contextmanager
    def redeemed(self, code: str) -> Iterator[str | None]:
        """Yield the hash of the token that *code* stands for; None if it is used or expired.

        It is not used by a block that raises NotNowError or StoreUnavailableError.
        """
        link = self._unused.pop(hash_token(code), None)
        try:
            yield None if link is None or link[1] <= self._now() else link[0]
        except (NotNowError, StoreUnavailableError):
            if link is not None:
                self._unused[hash_token(code)] = link
            raise
