"""Events of the webhook, and how they are signed. Pure.

They follow Standard Webhooks (https://www.standardwebhooks.com, specification of 2023), so that
receivers can verify them with an existing library.
"""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

SECRET_PREFIX: Final = "whsec_"
MIN_KEY_BYTES: Final = 24
"""The minimum of the standard; its maximum is 64."""
MAX_KEY_BYTES: Final = 64


class EventType(StrEnum):
    """What happened."""

    REFUSED_BURST = "tokens.refused_burst"
    FIRST_USE = "token.first_use"
    GAP = "gap.found"
    BUDGET = "budget.warning"


class Event(msgspec.Struct, frozen=True):
    """One event. It is sent at least once; its id lets the receiver ignore repetitions."""

    id: str
    type: EventType
    timestamp: datetime
    data: dict[str, str | int | float | None]

    @property
    def body(self) -> bytes:
        """The JSON that is sent and signed."""
        return msgspec.json.encode(
            {"type": self.type, "timestamp": self.timestamp.isoformat(), "data": self.data}
        )


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


def signed_fields(event: Event, key: bytes, at: int) -> dict[str, str]:
    """Return the header fields of *event*, sent *at* this Unix time, with its signature."""
    signed = f"{event.id}.{at}.".encode() + event.body
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": event.id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }
