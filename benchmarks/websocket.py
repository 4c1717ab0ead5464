"""WebSocket (RFC 6455), as much as an echo of whole messages needs."""

import base64
import hashlib
import re
from typing import Final

MASK_BYTES: Final = 4
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = re.compile(rb"\r\nsec-websocket-key: *(\S+)\r\n", re.IGNORECASE)
_FINAL_BINARY: Final = 0x82
_MASKED: Final = 0x80


def accept_value(head: bytes) -> bytes | None:
    """Return what answers the key in *head* (section 4.2.2), or None without a key."""
    key = _KEY.search(head)
    return key and base64.b64encode(hashlib.sha1(key[1] + _GUID, usedforsecurity=False).digest())


def frame_head(payload: int, *, masked: bool = False) -> bytes:
    """Return the head of a message of *payload* bytes; its mask is 0, which changes nothing."""
    mark, mask = (_MASKED, bytes(MASK_BYTES)) if masked else (0, b"")
    if payload < 126:
        return bytes((_FINAL_BINARY, mark | payload)) + mask
    return bytes((_FINAL_BINARY, mark | 126)) + payload.to_bytes(2, "big") + mask


def frame_size(received: bytes) -> tuple[int, int | None]:
    """Return the sizes of the head and of the payload of a masked frame; None while unknown."""
    if len(received) < 2:
        return 0, None
    length = received[1] & ~_MASKED
    if length < 126:
        return 2 + MASK_BYTES, length
    return 4 + MASK_BYTES, int.from_bytes(received[2:4], "big") if len(received) >= 4 else None


def masked_by_zero(frame: bytes, head: int) -> bool:
    """Say whether the payload of *frame* stands there as it is."""
    return frame[head - MASK_BYTES : head] == bytes(MASK_BYTES)
