"""Bytes and numbers in the seal's texts, each written in one way and read in no other."""

import re
from base64 import b64decode, b64encode
from typing import Final

from audit_log.errors import SealFormatError

HASH_BYTES: Final = 32
"""Of a SHA-256 hash."""
LARGEST_SIZE: Final = 2**63 - 1
"""Of a tree and of a time, so that both fit a signed 64-bit number, as PostgreSQL's and Go's."""
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")


def base64_text(data: bytes) -> str:
    """Return *data* in the base64 of RFC 4648, section 4."""
    return b64encode(data).decode("ascii")


def base64_bytes(text: str, what: str) -> bytes:
    """Return the bytes of a base64 *text*; *what* names it in the SealFormatError.

    The error does not quote *text*, which may be secret. Refused are texts that encoders
    would write otherwise: without padding, with other characters, with bits behind the last byte.
    """
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        data = None
    if data is None or base64_text(data) != text:
        raise SealFormatError(f"{what} is not base64 of whole bytes with padding")
    return data


def hash_bytes(text: str, what: str) -> bytes:
    """Return the 32 bytes of a SHA-256 hash in base64; *what* names it in the SealFormatError."""
    data = base64_bytes(text, what)
    if len(data) != HASH_BYTES:
        raise SealFormatError(f"{what} has {len(data)} bytes; a SHA-256 hash has {HASH_BYTES}")
    return data


def number(text: str, what: str) -> int:
    """Return a decimal number without leading zeroes, from 0 to 2^63 - 1.

    *what* names it in the SealFormatError.
    """
    if not _DECIMAL.fullmatch(text) or (value := int(text)) > LARGEST_SIZE:
        raise SealFormatError(
            f"{what} is not a decimal number from 0 to 2^63 - 1 without leading zeroes: "
            f"{text[:100]!r}"
        )
    return value
