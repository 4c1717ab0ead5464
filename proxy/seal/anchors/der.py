"""As much of DER (X.690) as a time stamp needs: values of one tag, and the values inside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONTEXT_0: Final = 0xA0
_LONG: Final = 0x80
_MOST_LENGTH_BYTES: Final = 4


class DerError(ValueError):
    """The bytes are no DER, or not what is expected at their place."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its tag and its content."""

    tag: int
    content: bytes

    def inside(self, tag: int) -> Sequence["Value"]:
        """Return the values inside this one, which has *tag*; raise DerError."""
        return tuple(values(self.of(tag)))

    def of(self, tag: int) -> bytes:
        """Return the content; raise DerError if this is of another tag."""
        if self.tag != tag:
            raise DerError(f"a value with the tag {self.tag:#04x} where {tag:#04x} is expected")
        return self.content

    @property
    def number(self) -> int:
        """The content of an INTEGER; raise DerError."""
        return int.from_bytes(self.of(INTEGER), signed=True)


def values(data: bytes) -> Iterator[Value]:
    """Yield the values that *data* consists of; raise DerError."""
    at = 0
    while at < len(data):
        value, at = _value(data, at)
        yield value


def encoded(tag: int, *parts: bytes) -> bytes:
    """Return a value of *tag* with the content *parts*."""
    content = b"".join(parts)
    if len(content) < _LONG:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes([tag, _LONG | len(length)]) + length + content


def encoded_number(number: int) -> bytes:
    """Return an INTEGER that is not negative."""
    return encoded(INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def _value(data: bytes, at: int) -> tuple[Value, int]:
    if len(data) < at + 2:
        raise DerError("a value that is cut short")
    tag, length = data[at], data[at + 1]
    at += 2
    if length >= _LONG:
        count = length - _LONG
        if not 1 <= count <= _MOST_LENGTH_BYTES:
            raise DerError("a length that is not written as DER writes it")
        length = int.from_bytes(data[at : at + count])
        at += count
    if len(data) < at + length:
        raise DerError("a value that is cut short")
    return Value(tag, data[at : at + length]), at + length
