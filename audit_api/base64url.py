"""Bytes as text that is safe in a URL, a header field and a cookie."""

import base64


def as_text(content: bytes) -> str:
    """Return *content* in the URL-safe alphabet of RFC 4648, section 5, without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def from_text(text: str) -> bytes | None:
    """Return the bytes that `as_text` encoded as *text*; None for any other text.

    Strict: base64 decodes several texts to the same bytes, and only the canonical one is valid.
    """
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")
    except ValueError:
        return None
    return content if as_text(content) == text else None
