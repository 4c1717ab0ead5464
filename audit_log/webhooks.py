"""How events are signed for a webhook. Pure.

By Standard Webhooks (https://www.standardwebhooks.com, specification of 2023), so that receivers
can verify them with an existing library.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

SECRET_PREFIX: Final = "whsec_"
MIN_KEY_BYTES: Final = 24
"""The minimum of the standard; its maximum is 64."""
MAX_KEY_BYTES: Final = 64


def signing_key(secret: str) -> bytes:
    """Return the key in *secret*, which is `whsec_` and base64. Raises ValueError."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise ValueError(
            f"must be {SECRET_PREFIX} and {MIN_KEY_BYTES} to {MAX_KEY_BYTES} random bytes in"
            ' base64: echo "whsec_$(openssl rand -base64 32)"'
        )
    return key


def signed_fields(event_id: str, body: bytes, key: bytes, at: int) -> dict[str, str]:
    """Return the header fields of an event, sent *at* this Unix time, with its signature."""
    signed = f"{event_id}.{at}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }
