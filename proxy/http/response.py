"""The head of a response, as the upstream sent it. Pure: bytes in, values out."""

import re
from typing import Final

from proxy.http.errors import UpstreamBrokeOffError
from proxy.http.fields import FieldParser, Fields, MalformedFieldsError
from proxy.http.forwarding import keeps_alive, response_lines

SWITCHING_PROTOCOLS: Final = 101
MAX_HEAD_BYTES: Final = 131_072
_FIRST_FINAL: Final = 200
_STATUS_LINE: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?(?=\r\n)"
)


class ResponseHead:
    """Status line and fields, as they were on the wire."""

    __slots__ = (
        "_wire",
        "fields",
        "is_event_stream",
        "is_http_10",
        "is_interim",
        "keeps_alive",
        "reason",
        "status",
    )

    def __init__(
        self, status: int, reason: bytes, fields: Fields, *, is_http_10: bool = False
    ) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.is_http_10 = is_http_10
        self.keeps_alive = keeps_alive(fields, is_http_10=is_http_10)
        """Whether the upstream takes another request on this connection."""
        kind = fields.by_name.get(b"content-type", b"")
        self.is_event_stream = kind.lower().startswith(b"text/event-stream")
        """Whether the response is a stream of server-sent events."""
        self.is_interim = status < _FIRST_FINAL and status != SWITCHING_PROTOCOLS
        """Whether another head follows (RFC 9110 section 15.2). 101 is a final one here."""
        self._wire: bytes | None = None

    def field(self, name: bytes) -> bytes | None:
        """Return the first value of the field *name* (lower case), or None."""
        return self.fields.by_name.get(name)

    @property
    def status_line(self) -> bytes:
        """The first line, as a client of HTTP/1.1 is sent it."""
        return b"HTTP/1.1 %d %b\r\n" % (self.status, self.reason)

    @property
    def wire(self) -> bytes:
        """The head, as a client of HTTP/1.1 is sent it that keeps its connection."""
        if self._wire is None:
            self._wire = b"%b%b\r\n" % (self.status_line, response_lines(self.fields))
        return self._wire


def check_response_head(received: bytes, end: int | None) -> None:
    """Raise UpstreamBrokeOffError if the head in *received* is too long."""
    if (len(received) if end is None else end) > MAX_HEAD_BYTES:
        raise UpstreamBrokeOffError("the head of the response is too long")


def parsed_response_head(head: bytes, parser: FieldParser) -> ResponseHead:
    """Return what *head*, which ends with an empty line, says (RFC 9112 section 4).

    Raises UpstreamBrokeOffError.
    """
    found = _STATUS_LINE.match(head)
    if not found:
        raise UpstreamBrokeOffError("the response does not begin as one of HTTP/1.1 does")
    if not head.endswith(b"\r\n\r\n"):
        raise UpstreamBrokeOffError("the response is malformed: a line does not end in CRLF")
    try:
        fields = parser.parse(head[found.end() : -4])
    except MalformedFieldsError as error:
        raise UpstreamBrokeOffError(f"the response is malformed: {error}") from error
    return ResponseHead(int(found[2]), found[3] or b"", fields, is_http_10=found[1] == b"0")
