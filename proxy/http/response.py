"""Reading the head of an answer. Pure: bytes in, values out."""

import re
from typing import Final

import msgspec

from proxy.http.errors import UpstreamBrokeOffError
from proxy.http.fields import MAX_REMEMBERED_BYTES, FieldParser, Fields, MalformedFieldsError
from proxy.http.forwarding import keeps_alive

SWITCHING_PROTOCOLS: Final = 101
MAX_HEAD_BYTES: Final = 131_072
_FIRST_FINAL: Final = 200
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
# A head ends at its first empty line, whatever ends the lines: a bare LF is found, and refused.
_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")


class ResponseHead(msgspec.Struct, frozen=True):
    """Status line and fields of an answer, as the upstream sent them."""

    status: int
    reason: bytes
    fields: Fields
    is_http_10: bool = False

    def field(self, name: bytes) -> bytes | None:
        """Return the first value of the field *name* (lower case), or None."""
        return self.fields.first(name)

    @property
    def is_event_stream(self) -> bool:
        """Say whether the answer is a stream of server-sent events."""
        return self.fields.derived(_is_event_stream)

    @property
    def is_interim(self) -> bool:
        """Say whether another head follows (RFC 9110 section 15.2). 101 is a final one here."""
        return self.status < _FIRST_FINAL and self.status != SWITCHING_PROTOCOLS

    @property
    def keeps_alive(self) -> bool:
        """Say whether the upstream is willing to take another request on this connection."""
        return keeps_alive(self.fields, is_http_10=self.is_http_10)


def _is_event_stream(fields: Fields) -> bool:
    return (fields.first(b"content-type") or b"").lower().startswith(b"text/event-stream")


class HeadReader:
    """Collects the bytes of one connection until a head is complete."""

    def __init__(self) -> None:
        self._received = b""
        self._parser = FieldParser()
        self._last: tuple[bytes, ResponseHead] | None = None

    def feed(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """Return the head and the bytes behind it, or None while it is incomplete.

        Raises UpstreamBrokeOffError when it is malformed or endless.
        """
        if self._last is not None and not self._received and data.startswith(self._last[0]):
            # A head ends with its first empty line, so what begins with it has no other head.
            return self._last[1], data[len(self._last[0]) :]
        searched = max(0, len(self._received) - 2)
        received = self._received + data if self._received else data
        found = _END_OF_HEAD.search(received, searched)
        if (found.end() if found else len(received)) > MAX_HEAD_BYTES:
            raise UpstreamBrokeOffError("the head of the answer is too long")
        if not found:
            self._received = received
            return None
        self._received = b""
        raw = received[: found.end()]
        head = self._parsed(raw)
        self._last = (raw, head) if len(raw) <= MAX_REMEMBERED_BYTES else None
        return head, received[found.end() :]

    def _parsed(self, head: bytes) -> ResponseHead:
        line, _, rest = head.partition(b"\r\n")
        found = _STATUS_LINE.fullmatch(line)
        if not found or not rest.endswith(b"\r\n"):
            raise UpstreamBrokeOffError("the answer does not begin as one of HTTP/1.1 does")
        try:
            fields = self._parser.parse(rest[:-2])
        except MalformedFieldsError as error:
            raise UpstreamBrokeOffError(f"the answer is malformed: {error}") from error
        return ResponseHead(int(found[2]), found[3] or b"", fields, found[1] == b"0")
