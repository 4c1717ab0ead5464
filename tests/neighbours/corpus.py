"""The corpus: raw requests and raw responses that must pass through the sidecar as they are."""

from dataclasses import dataclass
from typing import Final

from tests.neighbours.messages import END_OF_HEAD

AUTHORITY: Final = b"podwarden.test:8000"


@dataclass(frozen=True, slots=True)
class Case:
    """One request and its response, as bytes on the wire."""

    name: str
    request: bytes
    response: bytes
    closes: bool = False
    """Whether the upstream ends the connection after the response."""
    interim: bytes = b""
    """What the upstream sends when it has read the head; the client waits for it with its body."""

    @property
    def method(self) -> bytes:
        return self.request.partition(b" ")[0]

    @property
    def head(self) -> bytes:
        return self.request.partition(END_OF_HEAD)[0] + END_OF_HEAD

    @property
    def body(self) -> bytes:
        return self.request.partition(END_OF_HEAD)[2]


def request(start: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    """Return a request that begins `METHOD target`; HTTP/1.1 and Host are added."""
    lines = [start + b" HTTP/1.1", b"Host: " + AUTHORITY, *fields]
    return b"\r\n".join(lines) + END_OF_HEAD + body


def sized(start: bytes, body: bytes, *fields: bytes) -> bytes:
    """Return a request whose body has a Content-Length."""
    return request(start, *fields, b"Content-Length: %d" % len(body), body=body)


def response(status: bytes, *fields: bytes, body: bytes | None = b"ok") -> bytes:
    """Return a response with a Content-Length, or without one if *body* is None."""
    length = [] if body is None else [b"Content-Length: %d" % len(body)]
    return b"\r\n".join([b"HTTP/1.1 " + status, *fields, *length]) + END_OF_HEAD + (body or b"")


def chunked(*chunks: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    """Return *chunks* as a chunked body."""
    framed = [b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks]
    return b"".join(framed) + b"0\r\n" + trailers + b"\r\n"
