"""Marks and cursors as a client can forge them: their checksum has no key."""

import hashlib
from base64 import urlsafe_b64encode


def forged(content: bytes) -> str:
    """Return *content* with a valid checksum, as the audit API would encode it."""
    check = hashlib.blake2b(content, digest_size=8, person=b"audit-cursor-v1").digest()
    return urlsafe_b64encode(check + content).decode().rstrip("=")
