"""Times leaves: when each line of a tile was made, in whole seconds.

Signed with the rest, they prove of a row that is gone how old it was: one that the retention let
go was old enough, and one that was deleted beside it was not.
"""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from audit_log.errors import SealFormatError
from audit_log.seal.encoding import base64_bytes
from audit_log.seal.places import LINES_PER_TILE

TIMES: Final = "times"
_WHAT: Final = "a times leaf"
_BITS: Final = 7
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_SECOND: Final = timedelta(seconds=1)
_LAST: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)


def times_leaf(seconds: Sequence[int]) -> bytes:
    """Return the leaf data of a tile whose lines were made at these *seconds* since 1970.

    Raise ValueError unless there is one for each line.
    """
    if len(seconds) != LINES_PER_TILE:
        raise ValueError(f"a tile has {LINES_PER_TILE} lines, not {len(seconds)}")
    differences = bytearray()
    before = seconds[0]
    for second in seconds:
        _append(differences, second - before)
        before = second
    return msgspec.json.encode((TIMES, seconds[0], b64encode(differences).decode()))


def times_in(data: bytes) -> list[int]:
    """Return the seconds of which `times_leaf` made *data*; raise SealFormatError."""
    try:
        kind, second, text = msgspec.json.decode(data, type=tuple[str, int, str])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SealFormatError(f"{_WHAT} cannot be read: {error}") from error
    if kind != TIMES:
        raise SealFormatError(f"{_WHAT} is one of another kind")
    seconds = []
    value = bit = 0
    for byte in base64_bytes(text, _WHAT):
        value |= (byte & 0x7F) << bit
        bit += _BITS
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            second += (value >> 1) ^ -(value & 1)
            seconds.append(second)
            value = bit = 0
    if len(seconds) != LINES_PER_TILE or bit:
        raise SealFormatError(f"{_WHAT} has {len(seconds)} times, not {LINES_PER_TILE}")
    return seconds


def second_of(moment: datetime) -> int:
    """Return the second of *moment* since 1970, rounded down. It has a time zone."""
    return (moment - _EPOCH) // _SECOND


def seconds_of(moments: Sequence[datetime]) -> list[int]:
    """Return the second of each of *moments*."""
    seconds = []
    second, begins, ends = 0, _EPOCH, _EPOCH
    for moment in moments:
        # Most are in the same second, and a comparison is cheap.
        if not begins <= moment < ends:
            second = second_of(moment)
            begins = moment - (moment - _EPOCH) % _SECOND
            ends = begins + _SECOND if begins <= _LAST else begins
        seconds.append(second)
    return seconds


def _append(differences: bytearray, difference: int) -> None:
    """Append *difference*: zigzag, seven bits a byte, the lowest first, as in Protocol Buffers."""
    value = difference << 1 if difference >= 0 else (-difference << 1) - 1
    while value > 0x7F:  # noqa: PLR2004
        differences.append(value & 0x7F | 0x80)
        value >>= _BITS
    differences.append(value)
