"""Leaf data made again from rows of the audit log: the bytes that `leaf` made of their lines.

A row has its values in the order of the columns in `audit_log.postgres.sealed_rows`. None raises,
whatever was changed in it: its data is then other than that of its leaf.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from audit_log.record import UNKNOWN_TOKEN
from audit_log.seal.float4 import float4_digits
from audit_log.seal.leaf import ENTRY, GAP, HASH_DIGITS, TOOL_CALL, address_member, claims_member

Row = Sequence[Any]
_DURATION: Final = 9
_TOKEN: Final = slice(8, 10)
"""The members of the array that are the id and the name of the token."""
_UNNAMED: Final = [msgspec.Raw(b"null")] * 2
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_decode_members = msgspec.json.Decoder(list[msgspec.Raw]).decode


def entry_leaves_of(rows: Sequence[Row]) -> list[bytes]:
    """Return the leaf data of each of *rows*, which are of `mcp_audit_log`."""
    return _split(
        [
            (ENTRY, *row[:9], duration, address_member(row[10]), *row[11:16])
            for row, duration in zip(rows, _durations(rows), strict=True)
        ]
    )


def tool_call_leaves_of(rows: Sequence[Row]) -> list[bytes]:
    """Return the leaf data of each of *rows*, which are of `mcp_tool_invocation`."""
    return _split(
        [
            (
                *(TOOL_CALL, *row[:9], duration, *row[10:13], address_member(row[13])),
                *(*row[14:21], claims_member(row[21])),
            )
            for row, duration in zip(rows, _durations(rows), strict=True)
        ]
    )


def gap_leaves_of(rows: Sequence[Row]) -> list[bytes]:
    """Return the leaf data of each of *rows*, which are of `mcp_audit_gap`."""
    return _split([(GAP, *row[:6]) for row in rows])


def unnamed(data: bytes, digits: str) -> bytes:
    """Return *data*, of an entry or a tool call, as it was before the token's name was known.

    *digits* are those of the token's hash.
    """
    members = _decode_members(data)
    members[_TOKEN] = _UNNAMED
    return _encode([*members, digits])


def is_named_later(note: bytes, data: bytes) -> bool:
    """Say whether *data*, of a row, is that of *note* but for the name, which *note* lacks."""
    try:
        digits = msgspec.json.decode(_decode_members(note)[-1], type=str)
    except (msgspec.MsgspecError, IndexError):
        return False
    return unnamed(data, digits) == note


def digits_in(name: str) -> str | None:
    """Return the digits of a token's hash in *name*, or None if it is of a known token."""
    digits = name.removeprefix(UNKNOWN_TOKEN).removesuffix(")")
    return digits if f"{UNKNOWN_TOKEN}{digits})" == name and len(digits) <= HASH_DIGITS else None


def _durations(rows: Sequence[Row]) -> Sequence[str | None]:
    values = [row[_DURATION] for row in rows]
    if None not in values:
        return float4_digits(values)
    return [None if value is None else float4_digits([value])[0] for value in values]


def _split(arrays: Sequence[Sequence[object]]) -> list[bytes]:
    return _encode_lines(arrays).split(b"\n")[:-1]
