"""The head of a request, as it was on the wire. Pure.

We read heads ourselves because llhttp, in aiohttp as in httptools, refuses methods that are not on
its list and bytes beyond ASCII in targets; both are for the API to judge. On framing we are
strict: two readings of where a request ends are the door to request smuggling.
"""

import re
from http import HTTPStatus
from typing import Final

from proxy.http.errors import RefusedError
from proxy.http.fields import (
    TOKEN_BYTE,
    FieldParser,
    Fields,
    MalformedFieldsError,
)
from proxy.http.forwarding import keeps_alive
from proxy.http.framing import CONTENT_LENGTH, FRAMING, NO_BODY, Body, ChunkedBody, SizedBody
from proxy.http.target import printable

MAX_TARGET_BYTES: Final = 32_768
MAX_FIELD_BYTES: Final = 65_536
MAX_FIELDS: Final = 256
MAX_HEAD_BYTES: Final = 262_144
_SHORT_BYTES: Final = 4 * MAX_FIELDS
"""A shorter head can have neither too many fields nor one that is too long."""
MAX_REQUEST_ID_CHARACTERS: Final = 256

MAX_METHOD_BYTES: Final = 64

_LINE: Final = re.compile(
    rb"(%b{1,%d}) ([\x21-\x7e\x80-\xff]+) HTTP/(\d)\.(\d)(?=\r\n)" % (TOKEN_BYTE, MAX_METHOD_BYTES)
)
_TARGET: Final = re.compile(rb"\*\Z|[A-Za-z][A-Za-z0-9+.-]*://")
_HOST: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]*")


class HeadTooLongError(RefusedError):
    """A field, or all of them together, are longer than the limit."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class TargetTooLongError(RefusedError):
    """The path and query are longer than the limit."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG


class UnsupportedRequestError(RefusedError):
    """The request asks for something of HTTP that no reverse proxy can do."""

    status = HTTPStatus.NOT_IMPLEMENTED


class VersionNotSupportedError(RefusedError):
    """The request speaks another major version of HTTP."""

    status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED


class RequestHead:
    """Request line and fields: target and values are raw bytes, names in the client's case.

    No struct: each call reads it often, and of a compiled class that takes no look-up.
    """

    def __init__(
        self,
        method: bytes,
        target: bytes,
        fields: Fields,
        *,
        is_http_10: bool = False,
        body_is_chunked: bool = False,
        length: int | None = None,
    ) -> None:
        """*length* is what Content-Length says, None without one."""
        self.method: Final = method
        self.target: Final = target
        self.fields: Final = fields
        self.is_http_10: Final = is_http_10
        self.keeps_alive: Final = keeps_alive(fields, is_http_10=is_http_10)
        """The client may send another request on its connection."""
        self.body_is_chunked: Final = body_is_chunked
        self.length: Final = length

    def field(self, name: bytes) -> bytes | None:
        """Return the first value of the field *name* (lower case), or None."""
        return self.fields.by_name.get(name)

    @property
    def goes_on_after_refusal(self) -> bool:
        """Say whether another request may follow our own response: its body is not awaited."""
        return self.keeps_alive and not self.has_body

    @property
    def has_body(self) -> bool:
        """Say whether a body follows."""
        return self.body_is_chunked or bool(self.length)

    def body(self) -> Body:
        """Return how the body is framed (RFC 9112 section 6.3)."""
        if self.body_is_chunked:
            return ChunkedBody()
        return NO_BODY if self.length is None else SizedBody(self.length)

    @property
    def request_id(self) -> str | None:
        """Return the client's X-Request-Id: kept as data, never used as a key."""
        value = self.fields.first(b"x-request-id")
        return None if value is None else printable(value)[:MAX_REQUEST_ID_CHARACTERS]


def check_head(received: bytes, end: int | None) -> None:
    """Refuse what cannot become a head: *received*, whose head goes on if *end* is None.

    Raises RefusedError as soon as a first line can no longer be one of HTTP, TargetTooLongError
    and HeadTooLongError.
    """
    if b" " not in received[: MAX_METHOD_BYTES + 1] and len(received) > MAX_METHOD_BYTES:
        raise _not_http()
    if (len(received) if end is None else end) > MAX_HEAD_BYTES:
        if b"\n" not in received[:MAX_TARGET_BYTES]:
            raise TargetTooLongError(f"the path is longer than {MAX_TARGET_BYTES} bytes")
        raise HeadTooLongError(f"the header is longer than {MAX_HEAD_BYTES} bytes")
    if end is None:
        line, newline, _ = received.partition(b"\n")
        if newline and not _LINE.match(line.removesuffix(b"\r") + b"\r\n"):
            raise _not_http()


def parsed_head(head: bytes, parser: FieldParser | None = None) -> RequestHead:
    """Return the head that *head*, which ends with an empty line, says. Raises RefusedError."""
    found = _LINE.match(head)
    if not found:
        raise _not_http()
    if not head.endswith(b"\r\n\r\n"):
        raise RefusedError("malformed request: a line does not end in CRLF")
    method, target, major, minor = found.groups()
    if major != b"1":
        raise VersionNotSupportedError("only HTTP/1.0 and HTTP/1.1 are spoken here")
    _check_target(method, target)
    try:
        fields = (parser or FieldParser()).parse(head[found.end() : -4])
    except MalformedFieldsError as error:
        raise RefusedError(f"malformed request: {error}") from error
    is_http_10 = minor == b"0"
    if len(head) > _SHORT_BYTES:
        _check_sizes(fields)
    _check_host(fields, is_http_10=is_http_10)
    is_chunked, length = False, None
    if not FRAMING.isdisjoint(fields.by_name):
        is_chunked, length = _announced(fields, is_http_10=is_http_10)
    return RequestHead(
        method,
        target,
        fields,
        is_http_10=is_http_10,
        body_is_chunked=is_chunked,
        length=length,
    )


def _check_target(method: bytes, target: bytes) -> None:
    if method == b"CONNECT":
        raise UnsupportedRequestError("CONNECT is for forward proxies; this is a reverse proxy")
    if len(target) > MAX_TARGET_BYTES:
        raise TargetTooLongError(f"the path is longer than {MAX_TARGET_BYTES} bytes")
    is_path = target.startswith(b"/")
    if not is_path and (not _TARGET.match(target) or (target == b"*" and method != b"OPTIONS")):
        raise RefusedError("malformed request: the target is no path")
    # RFC 9112 section 3.2: no form of a target has a fragment. Servers cut it off, or do not.
    if b"#" in target:
        raise RefusedError("malformed request: the target contains `#`; send it as `%23`")


def _check_sizes(fields: Fields) -> None:
    if len(fields) > MAX_FIELDS:
        raise HeadTooLongError(f"there are more than {MAX_FIELDS} header fields")
    if any(len(name) + len(value) > MAX_FIELD_BYTES for name, value in fields):
        raise HeadTooLongError(f"a header field is longer than {MAX_FIELD_BYTES} bytes")


def _check_host(fields: Fields, *, is_http_10: bool) -> None:
    host = fields.by_name.get(b"host")
    if host is None:
        if not is_http_10:
            raise RefusedError("malformed request: there must be one Host field")
    elif b"host" in fields.repeated or not _HOST.fullmatch(host):
        raise RefusedError("malformed request: Host is not one host")


def _announced(fields: Fields, *, is_http_10: bool) -> tuple[bool, int | None]:
    """Return whether the body is chunked, and its Content-Length.

    Raises RefusedError if *fields* could not be passed on without misunderstanding.
    """
    lengths = fields.all(b"content-length")
    if len(lengths) > 1 or (lengths and not CONTENT_LENGTH.fullmatch(lengths[0])):
        raise RefusedError("malformed request: Content-Length is not one number")
    codings = fields.all(b"transfer-encoding")
    if codings and lengths:
        raise RefusedError("malformed request: it is not clear where the body ends")
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        # RFC 9112 section 6.1: a server responds with 501 to a coding that it does not understand.
        raise UnsupportedRequestError("the only transfer coding understood here is `chunked`")
    if codings and is_http_10:
        raise RefusedError("malformed request: HTTP/1.0 knows no chunks")
    return bool(codings), int(lengths[0]) if lengths else None


def _not_http() -> RefusedError:
    return RefusedError("malformed request: the first line is not one of HTTP/1.1")
