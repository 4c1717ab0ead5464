"""Where a message body ends (RFC 9112 sections 6 and 7). Pure: bytes in, counts out.

A body counts the bytes that belong to it. Bytes behind its end are not part of it; after a
response with extra bytes the connection is not reused.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from proxy.http.fields import Fields, is_field_line

MAX_CHUNK_LINE_BYTES: Final = 4_096
MAX_TRAILER_BYTES: Final = 65_536
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_PLAIN_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
"""The fields that say where a body ends."""
CONTENT_LENGTH: Final = re.compile(rb"[0-9]{1,18}")

Payload = Callable[[bytes], object]


class FramingError(ValueError):
    """The message does not say clearly where it ends."""


class Body(ABC):
    """A body in transit."""

    def __init__(self, *, is_complete: bool = False, ends_at_close: bool = False) -> None:
        self.is_complete = is_complete
        self.ends_at_close: Final = ends_at_close
        """Whether only the end of the connection ends this body."""

    @abstractmethod
    def take(self, data: bytes, payload: Payload | None = None) -> int:
        """Return how many bytes of *data* belong to the body; hand its content to *payload*."""


class EmptyBody(Body):
    """No body at all, whatever the fields say: HEAD, 1xx, 204, 304."""

    def __init__(self) -> None:
        super().__init__(is_complete=True)

    def take(self, data: bytes, payload: Payload | None = None) -> int:  # noqa: ARG002  it needs neither
        """Return 0: nothing belongs to it."""
        return 0


NO_BODY: Final = EmptyBody()


class SizedBody(Body):
    """A body of `Content-Length` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(is_complete=size == 0)
        self._missing = size

    def take(self, data: bytes, payload: Payload | None = None) -> int:
        """Return the length of *data*, or less if the body ends within it."""
        taken = min(len(data), self._missing)
        self._missing -= taken
        self.is_complete = self._missing == 0
        if payload and taken:
            payload(data[:taken])
        return taken


class BodyUntilClose(Body):
    """A body that ends when its sender closes the connection."""

    def __init__(self) -> None:
        super().__init__(ends_at_close=True)

    def take(self, data: bytes, payload: Payload | None = None) -> int:
        """Return the length of *data*."""
        if payload and data:
            payload(data)
        return len(data)


class ChunkedBody(Body):
    """A chunked body, with its extensions and trailers. Strict: only CRLF ends a line."""

    def __init__(self) -> None:
        super().__init__()
        self._line = b""
        self._missing = 0  # of the chunk's content and the CRLF behind it
        self._trailer_bytes = -1  # -1 while chunks are read

    def take(self, data: bytes, payload: Payload | None = None) -> int:
        """Return how many bytes of *data* belong to the body. Raises FramingError."""
        at = 0
        if not (self._missing or self._line or self._trailer_bytes >= 0):
            at = _whole_chunks(data, payload)
        while at < len(data) and not self.is_complete:
            if self._missing:
                at += self._content(data, at, payload)
            else:
                at += self._part_of_line(data, at)
        return at

    def _content(self, data: bytes, at: int, payload: Payload | None) -> int:
        content = max(0, min(len(data) - at, self._missing - 2))
        if content:
            if payload:
                payload(data[at : at + content])
            self._missing -= content
            return content
        expected = b"\r" if self._missing == 2 else b"\n"  # noqa: PLR2004  the CRLF itself
        if data[at : at + 1] != expected:
            raise FramingError("a chunk is longer than it says")
        self._missing -= 1
        return 1

    def _part_of_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        taken = len(data) - at if end < 0 else end + 1 - at
        self._line += data[at : at + taken]
        if len(self._line) > MAX_CHUNK_LINE_BYTES:
            raise FramingError("a chunk's line is too long")
        if end >= 0:
            line, self._line = self._line, b""
            if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
                raise FramingError("a chunk's line does not end in CRLF")
            self._line_is(line[:-2])
        return taken

    def _line_is(self, line: bytes) -> None:
        if self._trailer_bytes >= 0:
            self._trailer_bytes += len(line) + 2
            if self._trailer_bytes > MAX_TRAILER_BYTES:
                raise FramingError("the trailers are too long")
            if line and not is_field_line(line):
                raise FramingError("a trailer is not `name: value`")
            self.is_complete = not line
            return
        found = _CHUNK_LINE.fullmatch(line)
        if not found:
            raise FramingError("a chunk does not begin with its size")
        size = int(found[1], 16)
        if size:
            self._missing = size + 2
        else:
            self._trailer_bytes = 0


def _whole_chunks(data: bytes, payload: Payload | None) -> int:
    """Return where the plain chunks end that *data* begins with and holds as a whole.

    They need no state, and a stream of small events consists of nothing else.
    """
    at = 0
    while found := _PLAIN_SIZE.match(data, at):
        end = found.end() + int(found[1], 16)
        if end == found.end() or end + 2 > len(data):
            break
        if data[end : end + 2] != b"\r\n":
            raise FramingError("a chunk is longer than it says")
        if payload:
            payload(data[found.end() : end])
        at = end + 2
    return at


def chunks(contents: list[bytes], *, is_end: bool) -> list[bytes]:
    """Return the pieces of *contents* as chunks (RFC 9112 section 7.1); at the end, the last one.

    The contents are pieces of their own, so that a large one is not copied.
    """
    pieces = [
        piece for content in contents for piece in (b"%x\r\n" % len(content), content, _CHUNK_END)
    ]
    return [*pieces, _LAST_CHUNK] if is_end else pieces


def joined(contents: list[bytes]) -> bytes:
    """Return *contents* as one; a single one is not copied."""
    return contents[0] if len(contents) == 1 else b"".join(contents)


_CHUNK_END: Final = b"\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"


def response_body(request_method: bytes, status: int, fields: Fields, *, is_http_10: bool) -> Body:
    """Return how the body of a response is framed (RFC 9112 section 6.3). Raises FramingError."""
    is_chunked, length = _announced(fields)
    if is_chunked and is_http_10:
        raise FramingError("a response of HTTP/1.0 cannot be chunked")
    if request_method == b"HEAD" or status < 200 or status in {204, 304}:  # noqa: PLR2004
        return NO_BODY
    if is_chunked:
        return ChunkedBody()
    return BodyUntilClose() if length is None else SizedBody(length)


def _announced(fields: Fields) -> tuple[bool, int | None]:
    """Return whether the body is chunked, and its Content-Length."""
    by_name, repeated = fields.by_name, fields.repeated
    coding, length = by_name.get(b"transfer-encoding"), by_name.get(b"content-length")
    if coding is not None:
        is_alone = length is None and b"transfer-encoding" not in repeated
        if not is_alone or coding.lower() != b"chunked":
            raise FramingError("the response's Transfer-Encoding is not `chunked` alone")
        return True, None
    if length is None:
        return False, None
    if b"content-length" in repeated or not CONTENT_LENGTH.fullmatch(length):
        raise FramingError("the response's Content-Length is not one number")
    return False, int(length)
