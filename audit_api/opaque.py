"""Bytes as text that travels in a URL, a header field or a cookie without being touched."""

import base64


def as_text(content: bytes) -> str:
    """Return *content* in the URL-safe alphabet of RFC 4648, section 5, without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def from_text(text: str) -> bytes | None:
    """Return the bytes that `as_text` made *text* of; None if it made no such text.

    Exactly: several texts would decode to the same bytes, and one of them only is ours.
    """
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")
    except ValueError:
        return None
    return content if as_text(content) == text else None
