"""Why a token is not accepted: asked at each call, and so compiled, as a struct cannot be."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from audit_log.tokens import Token

EXPIRED: Final = "token has expired"
REVOKED: Final = "token has been revoked"


def refusal_of(token: Token, now: Callable[[], datetime]) -> str | None:
    """Return why *token* is not accepted at the time that *now* returns, or None if it is.

    *now* is called only for a token that expires.
    """
    # A revocation counts even if its time is in the future: PodWarden's clock may be ahead.
    if token.revoked_at is not None:
        return REVOKED
    if token.expires_at is not None and token.expires_at <= now():
        return EXPIRED
    return None
