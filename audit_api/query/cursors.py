"""Page cursors and marks: positions in the log as opaque text.

Both carry a checksum, not a signature. The checksum detects text that was altered. A forged cursor
gives a reader a position that it could reach by paging as well, so no key is needed. Any process
accepts a cursor of any other one, also after a restart.
"""

import hashlib
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from audit_api.base64url import as_text, from_text
from audit_api.errors import InvalidParametersError
from audit_log.postgres.arrivals import Snapshot, Standpoint
from audit_log.postgres.rows import Place

_CHECK_BYTES: Final = 8
_PERSON: Final = b"audit-cursor-v1"
Kind = TypeVar("Kind")


class _PageEnd(msgspec.Struct, frozen=True, array_like=True):
    query: bytes
    """The digest of the query: a cursor continues that query and no other."""
    place: Place

    def __post_init__(self) -> None:
        self.place.check()


def page_cursor(query: object, place: Place) -> str:
    """Return the cursor of the page of *query* that begins after *place*."""
    return _sealed(_PageEnd(_digest(query), place))


def next_page(request: web.Request, query: object, place: Place) -> dict[str, str]:
    """Return the response field that leads to the page of *query* after *place*."""
    return link_to_next(request, cursor=page_cursor(query, place))


def link_to_next(request: web.Request, **changed: str) -> dict[str, str]:
    """Return the response field that leads to *request* with parameters *changed* (RFC 8288)."""
    # Relative, because the public name of this service is not known here.
    return {"Link": f'<{request.rel_url.update_query(changed)}>; rel="next"'}


def read_page_cursor(text: str, query: object) -> Place:
    """Return the place in *text*.

    Raises InvalidParametersError if *text* is not a cursor, or a cursor of another query.
    """
    end = _opened(text, _PageEnd)
    if end is None:
        raise InvalidParametersError.of(
            "cursor", "Input should be a cursor from a `Link` of this API", "cursor"
        )
    if end.query != _digest(query):
        raise InvalidParametersError.of(
            "cursor",
            "This cursor belongs to a query with other filters",
            "cursor_of_other_filters",
        )
    return end.place


def mark(standpoint: Standpoint) -> str:
    """Return *standpoint* as text without spaces or line breaks."""
    return _sealed(standpoint)


def read_mark(text: str, place: str, name: str) -> Standpoint:
    """Return the standpoint in *text*, the parameter *name* in *place*.

    Raises InvalidParametersError if *text* is not a mark.
    """
    standpoint = _opened(text, Standpoint)
    if standpoint is None:
        raise InvalidParametersError.of(
            name, "Input should be a mark from this API", "mark", place
        )
    return standpoint


def check_standpoint(standpoint: Standpoint, now: Snapshot, place: str, name: str) -> None:
    """Raise InvalidParametersError about *name* if *standpoint* is not in the past of *now*.

    A mark of another database, or of one that was restored since, would skip records silently.
    """
    if standpoint.seen.cluster != now.cluster:
        problem = "This mark is of another database"
    elif standpoint.end > now.end:
        problem = "This mark is ahead of the database, which was restored to an earlier state"
    else:
        return
    raise InvalidParametersError.of(name, problem, "mark_of_another_history", place)


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
    except (msgspec.DecodeError, ValueError, RecursionError):  # not JSON, not UTF-8, too deep
        return None


def _check(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECK_BYTES, person=_PERSON).digest()


def _digest(query: object) -> bytes:
    # The repr of a frozen dataclass names every field, in a fixed order.
    return hashlib.blake2b(repr(query).encode(), digest_size=_CHECK_BYTES).digest()
