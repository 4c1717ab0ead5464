"""The wire format of protocol buffers, as much of it as OTLP needs.

https://protobuf.dev/programming-guides/encoding. The library would be a dependency of every image.
"""

import struct
from collections.abc import Iterator
from typing import Final

_VARINT: Final = 0
_FIXED_64: Final = 1
_BYTES: Final = 2
_FIXED_32: Final = 5


def varint(field: int, value: int) -> bytes:
    """Return the integer *value*, not negative, as the field with that number."""
    return _number(field << 3 | _VARINT) + _number(value)


def fixed_64(field: int, value: int) -> bytes:
    """Return *value* in 64 bits."""
    return _number(field << 3 | _FIXED_64) + value.to_bytes(8, "little")


def double(field: int, value: float) -> bytes:
    """Return *value* as a floating-point number of 64 bits."""
    return _number(field << 3 | _FIXED_64) + struct.pack("<d", value)


def text(field: int, value: str) -> bytes:
    """Return *value* in UTF-8."""
    return message(field, value.encode(errors="replace"))


def message(field: int, *parts: bytes) -> bytes:
    """Return a message that consists of *parts*, encoded fields."""
    content = b"".join(parts)
    return _number(field << 3 | _BYTES) + _number(len(content)) + content


def fields_of(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field in *data*; raise ValueError if damaged."""
    at = 0
    while at < len(data):
        tag, at = _read_number(data, at)
        kind, size = tag & 7, 0
        if kind == _VARINT:
            number, at = _read_number(data, at)
            yield tag >> 3, number
            continue
        if kind == _BYTES:
            size, at = _read_number(data, at)
        elif kind in {_FIXED_32, _FIXED_64}:
            size = 4 if kind == _FIXED_32 else 8
        else:
            raise ValueError("no field has this type")
        if at + size > len(data):
            raise ValueError("the message ends in a field")
        yield tag >> 3, data[at : at + size]
        at += size


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004  seven bits a byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004
            return value, at
    raise ValueError("the message ends in a number")
