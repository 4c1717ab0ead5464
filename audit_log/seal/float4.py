"""Durations as PostgreSQL keeps them: `real`, of 4 bytes, made of the text that it is sent."""

from collections.abc import Sequence
from fractions import Fraction
from math import copysign
from struct import pack, unpack
from typing import Final

_SIGN: Final = 0x8000_0000
_INFINITY: Final = 0x7F80_0000
# The highest byte of the doubles from 2^-15 to 2^33. What is nearer to zero may be subnormal.
_USUAL: Final = b"\x3f\x40\x41"


def float4_digits(values: Sequence[float]) -> list[str]:
    """Return each value's `real` as 8 hex digits, the sign first.

    PostgreSQL rounds the shortest decimal text of a value, and not the value. The results differ
    for values half-way between two `real`s, and for subnormal ones.
    """
    if not values:
        return []
    doubles = pack(f"<{len(values)}d", *values)
    if doubles[7::8].translate(None, _USUAL):
        return list(map(_digits_of, values))
    rounded = pack(f">{len(values)}f", *values).hex(" ", 4).split(" ")
    # The three lowest bytes of a value half-way are zero, as those of few others are.
    lowest = doubles[::8]
    at = lowest.find(0)
    while at >= 0:
        if doubles[8 * at + 1 : 8 * at + 3] == b"\0\0":
            rounded[at] = _digits_of(values[at])
        at = lowest.find(0, at + 1)
    return rounded


def _digits_of(value: float) -> str:
    """Return the digits of the `real` that is nearest to the decimal text of *value*."""
    sign = _SIGN if copysign(1, value) < 0 else 0
    try:
        packed = pack(">f", abs(value))
        if unpack(">f", packed) == (abs(value),):
            return f"{sign | int.from_bytes(packed):08x}"  # it is one already, as rows have it
        [near] = unpack(">I", packed)
    except OverflowError:
        near = _INFINITY  # PostgreSQL refuses it
    if near < _INFINITY:
        exact = Fraction(repr(abs(value)))
        around = range(max(near - 1, 0), min(near + 2, _INFINITY))
        # Of two that are equally near the even one.
        near = min(around, key=lambda bits: (abs(_value_of(bits) - exact), bits & 1))
    return f"{sign | near:08x}"


def _value_of(bits: int) -> Fraction:
    [value] = unpack(">f", pack(">I", bits))
    return Fraction(value)
