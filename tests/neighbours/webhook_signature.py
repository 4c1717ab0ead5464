"""How a receiver verifies an event of the webhook, as docs/watch.md tells it to: to copy."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping


def verified(secret: str, fields: Mapping[str, str], body: bytes) -> bool:
    """Say whether *body*, as the bytes that came, is the sidecar's, and from these 5 minutes."""
    event_id, sent_at = fields["webhook-id"], fields["webhook-timestamp"]
    if abs(time.time() - int(sent_at)) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{event_id}.{sent_at}.".encode() + body
    due = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return hmac.compare_digest(due, fields["webhook-signature"])
