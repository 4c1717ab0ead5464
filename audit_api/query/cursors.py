"""Where a caller stands, as text that it can only hand back: page cursors and marks.

Checked, not secret: what is altered by chance or by hand is told from what we gave out, and
whoever takes the trouble to forge one gets a place to go on from, which anyone who may read could
reach as well. So no key is needed; every replica takes them, and they survive every restart.
"""

import hashlib
from typing import Final, TypeVar

import msgspec

from audit_api.errors import InvalidParametersError
from audit_api.opaque import as_text, from_text
from audit_log.postgres.arrivals import Snapshot, Standpoint
from audit_log.postgres.rows import Place

_CHECK_BYTES: Final = 8
_PERSON: Final = b"audit-cursor-v1"
Kind = TypeVar("Kind")


class _PageEnd(msgspec.Struct, frozen=True, array_like=True):
    question: bytes
    """What had been asked, in brief: a cursor goes on with that question and no other."""
    place: Place


def page_cursor(question: object, place: Place) -> str:
    """Return the cursor of the page that begins behind *place* in the answer to *question*."""
    return _sealed(_PageEnd(_digest(question), place))


def read_page_cursor(text: str, question: object) -> Place:
    """Return the place in *text*; raise a complaint if it is none, or of another question."""
    end = _opened(text, _PageEnd)
    if end is None:
        raise InvalidParametersError.of("cursor", "Input is not a cursor of ours", "cursor")
    if end.question != _digest(question):
        raise InvalidParametersError.of(
            "cursor", "This cursor goes on with other filters", "cursor_of_other_filters"
        )
    return end.place


def mark(standpoint: Standpoint) -> str:
    """Return *standpoint* as text without spaces or line breaks."""
    return _sealed(standpoint)


def read_mark(text: str, place: str, name: str) -> Standpoint:
    """Return the standpoint in *text*, which the caller gave as *name*."""
    standpoint = _opened(text, Standpoint)
    if standpoint is None:
        raise InvalidParametersError.of(name, "Input is not a mark of ours", "mark", place)
    return standpoint


def check_standpoint(standpoint: Standpoint, now: Snapshot, place: str, name: str) -> None:
    """Raise a complaint about *name* if *standpoint* is none in the history that *now* ends."""
    if standpoint.seen.cluster != now.cluster:
        complaint = "This mark is of another database"
    elif standpoint.seen.end > now.end:
        complaint = "This mark is ahead of the database, which was set back since"
    else:
        return
    raise InvalidParametersError.of(name, complaint, "mark_of_another_history", place)


def _sealed(value: object) -> str:
    content = msgspec.json.encode(value)
    return as_text(_check(content) + content)


def _opened(text: str, kind: type[Kind]) -> Kind | None:
    sealed = from_text(text) or b""
    check, content = sealed[:_CHECK_BYTES], sealed[_CHECK_BYTES:]
    if check != _check(content):
        return None
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError:
        return None


def _check(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECK_BYTES, person=_PERSON).digest()


def _digest(question: object) -> bytes:
    # Frozen dataclasses: their text tells every field, in a fixed order.
    return hashlib.blake2b(repr(question).encode(), digest_size=_CHECK_BYTES).digest()
