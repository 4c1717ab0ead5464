"""Sessions: a browser holds one instead of a token. Signed, short-lived, and tied to the token.

Sessions are not stored: the audit API's database role changes no row. A session carries the hash
of its token, and each request looks that token up again: when the token is revoked or expires, its
sessions end. A sign-out is kept in this process's memory until the session would have expired. To
end all sessions at once, change the secret.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from audit_api.base64url import as_text, from_text

COOKIE: Final = "podwarden_audit_session"
LIFETIME: Final = timedelta(hours=8)
_SIGNATURE_BYTES: Final = 32
_PURPOSE: Final = b"podwarden audit session v1"


class Session(msgspec.Struct, frozen=True, array_like=True):
    """The content of a session: its token and when it ends."""

    id: str
    token_hash: str
    expires_at: datetime

    @property
    def digest(self) -> str:
        """Text that tells this session apart, and opens none."""
        return hashlib.sha256(self.id.encode()).hexdigest()[:16]


class Sessions:
    """Issues sessions and verifies them."""

    def __init__(self, secret: bytes, now: Callable[[], datetime]) -> None:
        self._key = hmac.digest(secret, _PURPOSE, hashlib.sha256)
        self._now = now
        self._ended: dict[str, datetime] = {}

    def issue(self, token_hash: str) -> str:
        """Return the text of a new session of the token with *token_hash*."""
        session = Session(secrets.token_urlsafe(16), token_hash, self._now() + LIFETIME)
        content = msgspec.json.encode(session)
        return as_text(self._signature(content) + content)

    def read(self, text: str) -> Session | None:
        """Return the session in *text*; None if it is forged, expired, or signed out."""
        signed = from_text(text)
        if signed is None:
            return None
        signature, content = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(content)):
            return None
        session = msgspec.json.decode(content, type=Session)
        is_over = session.expires_at <= self._now() or session.id in self._ended
        return None if is_over else session

    def end(self, session: Session) -> None:
        """Make *session* invalid in this process."""
        now = self._now()
        self._ended = {id_: end for id_, end in self._ended.items() if end > now}
        self._ended[session.id] = session.expires_at

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, hashlib.sha256)
