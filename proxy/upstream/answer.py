"""Reading the head of an answer. Pure: bytes in, values out."""

from dataclasses import dataclass
from typing import Final

import httptools

from proxy.headers import FieldList, connection_options
from proxy.upstream.errors import UpstreamBrokeOffError

SWITCHING_PROTOCOLS: Final = 101
MAX_HEAD_BYTES: Final = 131_072
_END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """Status line and fields of an answer, as the upstream sent them."""

    status: int
    reason: bytes
    fields: FieldList
    version: str

    def field(self, name: bytes) -> bytes | None:
        """Return the first value of the field *name* (lower case), or None."""
        return next((value for key, value in self.fields if key.lower() == name), None)

    @property
    def is_event_stream(self) -> bool:
        """Say whether the answer is a stream of server-sent events."""
        return (self.field(b"content-type") or b"").lower().startswith(b"text/event-stream")

    @property
    def is_interim(self) -> bool:
        """Say whether another head follows (RFC 9110 section 15.2). 101 is a final one here."""
        return self.status < 200 and self.status != SWITCHING_PROTOCOLS  # noqa: PLR2004

    @property
    def keeps_alive(self) -> bool:
        """Say whether the upstream is willing to take another request on this connection."""
        options = connection_options(self.fields)
        return b"close" not in options and (self.version == "1.1" or b"keep-alive" in options)


class HeadReader:
    """Collects bytes until a head is complete."""

    def __init__(self) -> None:
        self._received = b""

    def feed(self, data: bytes) -> tuple[AnswerHead, bytes] | None:
        """Return the head and the bytes behind it, or None while it is incomplete.

        Raises UpstreamBrokeOffError when it is malformed or endless.
        """
        searched = max(0, len(self._received) - len(_END_OF_HEAD) + 1)
        self._received = self._received + data if self._received else data
        end = self._received.find(_END_OF_HEAD, searched)
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._received) > MAX_HEAD_BYTES):
            raise UpstreamBrokeOffError("the head of the answer is too long")
        if end < 0:
            return None
        end += len(_END_OF_HEAD)
        head, rest = self._received[:end], self._received[end:]
        self._received = b""
        return _parsed(head), rest


class _Fields:
    """What the parser calls back with."""

    def __init__(self) -> None:
        self.reason = b""
        self.fields: FieldList = []

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp takes the white space before a value away, but not what stands behind it.
        self.fields.append((name, value.rstrip(b" \t")))


def _parsed(head: bytes) -> AnswerHead:
    read = _Fields()
    parser = httptools.HttpResponseParser(read)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # a 101: what follows is no longer ours to parse
    except httptools.HttpParserError as error:
        raise UpstreamBrokeOffError(f"the head of the answer is malformed: {error}") from error
    version = parser.get_http_version()
    if version not in {"1.0", "1.1"}:
        raise UpstreamBrokeOffError(f"the upstream answers in HTTP/{version}")
    return AnswerHead(parser.get_status_code(), read.reason, read.fields, version)
