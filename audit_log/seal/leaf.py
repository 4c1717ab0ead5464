"""Leaf data: what the seal hashes of each journal line, as a JSON array that begins with its kind.

Whoever has a row of the audit log makes the same bytes of it again, on every version of
Python. So nothing is in them that PostgreSQL changes or leaves out:

- The hash of a token is never stored, and its name may be found later. An *unnamed* item has
  neither id nor name of its token, and the first digits of the hash at the end.
- A duration is rounded by PostgreSQL: here are the hex digits of its `real`.
- IPv6 has several spellings: here are the 32 hex digits of the address.
- Claims are `jsonb`: here are their names in order, and numbers as plain decimals.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

import msgspec

from audit_log.reads import Read
from audit_log.record import Event, Gap, Invocation, RecordRow
from audit_log.seal.float4 import float4_digits

ENTRY: Final = "entry"
TOOL_CALL: Final = "tool_call"
GAP: Final = "gap"
READ: Final = "read"
EVENT: Final = "event"
QUARANTINED: Final = "quarantined"
MISSING: Final = b'["missing"]'
"""A line that the journal has lost, and that is not the first one of a gap."""
VOID: Final = b'["void"]'
"""A line that never was: its number was skipped after the memory of the journal was lost."""
UNSEALED: Final = b'["unsealed"]'
"""A line that was written while the seal was off."""
HASH_DIGITS: Final = 8
"""How many hex digits of a token's hash stand for its name."""
_REMEMBERED: Final = 4_096
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines


def entry_leaves(records: Sequence[RecordRow]) -> list[bytes]:
    """Return the leaf data of each of *records*."""
    # One flat display: to put it together of two would take three times as long.
    arrays: list[tuple[object, ...]] = [
        (
            ENTRY,
            row.id,
            row.created_at,
            row.method,
            row.path,
            row.status_code,
            row.outcome,
            row.instance,
            row.token_id,
            row.token_name,
            duration,
            _address(row.client_ip),
            row.user_agent,
            row.tool,
            row.invocation_id,
            row.attribution,
            row.request_id,
        )
        for row, duration in zip(records, _durations(records), strict=True)
    ]
    if {row.created_at.tzinfo for row in records} != {UTC}:
        arrays = [
            (*array[:2], _in_utc(row.created_at), *array[3:])
            for array, row in zip(arrays, records, strict=True)
        ]
    if None in [row.token_name for row in records]:
        arrays = [
            array if row.token_name is not None else (*array, _digits(row.token_hash))
            for array, row in zip(arrays, records, strict=True)
        ]
    return _encode_lines(arrays).split(b"\n")[:-1]


def tool_call_leaf(call: Invocation, claims: str | None = None) -> bytes:
    """Return the leaf data of this version of a tool call.

    *claims* are the JSON of its claims, if they were stored as `jsonb`.
    """
    said = _encode(call.claims).decode() if claims is None else claims
    array = (
        *(TOOL_CALL, call.id, _in_utc(call.created_at), call.tool, call.outcome, call.status_code),
        *(call.origin, call.instance, call.token_id, call.token_name, *_durations([call])),
        *(call.api_calls, call.error_code, call.rounds, _address(call.client_ip)),
        *(call.request_id, call.session, call.protocol_version, call.client_name),
        *(call.client_version, call.user_agent, call.principal, _claims(said)),
    )
    return _encode(array if call.token_name is not None else (*array, _digits(call.token_hash)))


def gap_leaf(gap: Gap) -> bytes:
    """Return the leaf data of *gap*."""
    moments = (_in_utc(gap.started_at), _in_utc(gap.ended_at))
    return _encode((GAP, gap.id, *moments, gap.count, gap.reason, gap.instance))


def read_leaf(read: Read) -> bytes:
    """Return the leaf data of *read*, which is no line of a journal."""
    array = (
        *(READ, read.id, _in_utc(read.created_at), read.kind, read.question, read.instance),
        *(read.reader, read.role, read.token_id, read.session, _address(read.client_ip)),
        *(read.status_code, read.rows_told, read.times, read.began),
    )
    return _encode(array)


def event_leaf(event: Event) -> bytes:
    """Return the leaf data of *event*. No row gives it."""
    details = dict(sorted(event.details.items()))
    return _encode((EVENT, event.id, _in_utc(event.at), event.name, details))


def quarantined_leaf(leaf_hash: bytes) -> bytes:
    """Return the leaf data of an item that the store refused, by the hash of its own leaf data."""
    return _encode((QUARANTINED, leaf_hash.hex()))


@lru_cache(_REMEMBERED)
def _address(text: str | None) -> str | None:
    """Return how the seal writes an address; *text* itself where there is none."""
    if text is None:
        return None
    try:
        return IPv6Address(text).packed.hex() if ":" in text else str(IPv4Address(text))
    except AddressValueError:
        return text


def _claims(text: str | None) -> msgspec.Raw | None:
    """Return how the seal writes claims, of which *text* is the JSON; None if there are none."""
    if text is None or text == "null":
        return None
    try:
        said = json.loads(text, parse_int=Decimal, parse_float=Decimal)
        members = [_encode(name) + b":" + _claim(said[name]) for name in sorted(said)]
    except (ValueError, TypeError, RecursionError):
        return msgspec.Raw(text.encode())  # no object: it was changed
    return msgspec.Raw(b"{" + b",".join(members) + b"}")


def _claim(value: object) -> bytes:
    if not isinstance(value, Decimal):
        return _encode(value)
    # As `numeric` is written: without exponent, and zero without a sign.
    return format(value or abs(value), "f").encode()


def _durations(items: Sequence[RecordRow] | Sequence[Invocation]) -> Sequence[str | None]:
    durations = [item.duration_ms for item in items]
    known = [duration for duration in durations if duration is not None]
    digits = float4_digits(known)
    if len(known) == len(durations):
        return digits
    remaining = iter(digits)
    return [None if duration is None else next(remaining) for duration in durations]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment  # the first or the last day of the calendar, which PostgreSQL goes beyond


def _digits(token_hash: str | None) -> str:
    return (token_hash or "")[:HASH_DIGITS]
