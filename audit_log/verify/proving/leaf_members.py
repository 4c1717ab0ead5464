"""What leaf data says: kinds, and what of a note a row may have been given later."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from audit_log.record import UNFINISHED, UNKNOWN_TOKEN, ToolOutcome, unknown_token_name
from audit_log.verify.proving.leaf_file import Noted

Members = Sequence[object]
_KINDS: Final = {
    "times": Noted.TIMES,
    "event": Noted.EVENT,
    "missing": Noted.MISSING,
    "void": Noted.VOID,
    "unsealed": Noted.UNSEALED,
    "quarantined": Noted.QUARANTINED,
    "entry": Noted.ENTRY,
    "tool_call": Noted.TOOL_CALL,
    "gap": Noted.GAP,
    "read": Noted.READ,
}
_NAMES: Final = {
    Noted.ENTRY: (
        *("id", "created_at", "method", "path", "status_code", "outcome", "instance", "token_id"),
        *("token_name", "duration_ms", "client_ip", "user_agent", "tool", "invocation_id"),
        *("attribution", "request_id"),
    ),
    Noted.TOOL_CALL: (
        *("id", "created_at", "tool", "outcome", "status_code", "origin", "instance", "token_id"),
        *("token_name", "duration_ms", "api_calls", "error_code", "rounds", "client_ip"),
        *("request_id", "session", "protocol_version", "client_name", "client_version"),
        *("user_agent", "principal", "claims"),
    ),
    Noted.GAP: ("id", "started_at", "ended_at", "count", "reason", "instance"),
}
ASKED: Final = ToolOutcome.ASKED
_NAME_AT: Final = 9
_NAMED_LATER: Final = ("token_id", "token_name")


class Identity(NamedTuple):
    """By what a row is found."""

    id: UUID
    created_at: datetime


def members_of(data: bytes | str) -> Members:
    """Return the members of leaf data, its kind first; nothing if it is no leaf data."""
    try:
        return msgspec.json.decode(data, type=list[object])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []


def kind_of(members: Members) -> Noted:
    """Return what a note with these *members* says of its place."""
    kind = members[0] if members else None
    return _KINDS.get(kind, Noted.OTHER) if isinstance(kind, str) else Noted.OTHER


def identity_of(members: Members) -> Identity | None:
    """Return by what the row of a noted entry or tool call is found; None if it says nothing."""
    try:
        return msgspec.convert(members[1:3], type=Identity)
    except msgspec.ValidationError:
        return None


def moment_of(noted: Noted, members: Members) -> datetime | None:
    """Return when a noted line was made, if its leaf data says so."""
    at = 3 if noted is Noted.GAP else 2
    if noted not in _NAMES and noted is not Noted.EVENT:
        return None
    try:
        return msgspec.convert(members[at], type=datetime)
    except (IndexError, msgspec.ValidationError):
        return None


def differing(note: Members, row: Members) -> list[tuple[str, object, object]]:
    """Return the columns in which a row differs from its note, with what each says.

    A note that has no name of the token yet allows any name, but of unknown tokens only its own.
    """
    names = _NAMES.get(kind_of(note), ())
    may_be_named = len(note) == len(names) + 2
    differences = []
    for name, noted, found in zip(names, note[1:], row[1:], strict=False):
        if noted == found or (may_be_named and name in _NAMED_LATER):
            continue
        differences.append((name, noted, found))
    if note[:1] != row[:1]:
        differences.append(("kind", note[:1], row[:1]))
    if may_be_named and not _may_be_called(note, row):
        differences.append(("token_name", f"hash {note[-1]}…", row[_NAME_AT]))
    return differences


def gives_way(row: Members, version: Members) -> bool:
    """Say whether the row of a tool call would have given way to *version* (migration 0016)."""
    outcome, rounds = 4, 13
    if len(row) <= rounds or len(version) <= rounds or row[outcome] not in UNFINISHED:
        return False
    stored, newer = _number(row[rounds]), _number(version[rounds])
    return (
        version[outcome] not in UNFINISHED
        or newer > stored
        or (newer == stored and version[outcome] == ASKED and row[outcome] != ASKED)
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def is_named(row: Members) -> bool:
    """Say whether the row of an entry or tool call has the name of a known token."""
    name = row[_NAME_AT] if len(row) > _NAME_AT else None
    return not (isinstance(name, str) and name.startswith(UNKNOWN_TOKEN))


def _may_be_called(note: Members, row: Members) -> bool:
    return is_named(row) or row[_NAME_AT] == unknown_token_name(str(note[-1]))
