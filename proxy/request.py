"""The head of a request, as it was on the wire."""

from dataclasses import dataclass
from typing import Final

from audit_log.record import MAX_USER_AGENT_CHARACTERS
from proxy.errors import RefusedError, UnsupportedRequestError
from proxy.identity import Fields, printable

MAX_REQUEST_ID_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Request line and fields: target and values are raw bytes, names in the client's case."""

    method: bytes
    target: bytes
    fields: Fields
    is_http_10: bool
    keeps_alive: bool
    """The client is willing to send another request on its connection."""

    def field(self, name: bytes) -> bytes | None:
        """Return the first value of the field *name* (lower case), or None."""
        return next((value for key, value in self.fields if key.lower() == name), None)

    @property
    def body_is_chunked(self) -> bool:
        """Say whether the body comes in chunks."""
        return self.field(b"transfer-encoding") is not None

    @property
    def has_body(self) -> bool:
        """Say whether a body follows (RFC 9112 section 6.3)."""
        return self.body_is_chunked or self.field(b"content-length") not in {None, b"0"}

    @property
    def user_agent(self) -> str | None:
        """Return the User-Agent for the audit log: printable, at most 256 characters."""
        value = self.field(b"user-agent")
        return None if value is None else printable(value)[:MAX_USER_AGENT_CHARACTERS]

    @property
    def request_id(self) -> str | None:
        """Return the client's X-Request-Id: kept as data, never used as a key."""
        value = self.field(b"x-request-id")
        return None if value is None else printable(value)[:MAX_REQUEST_ID_CHARACTERS]


def check(head: RequestHead) -> None:
    """Raise RefusedError if *head* is nothing that could be passed on without misunderstanding."""
    if head.method == b"CONNECT":
        raise UnsupportedRequestError("CONNECT is for forward proxies; this is a reverse proxy")
    codings = [value for name, value in head.fields if name.lower() == b"transfer-encoding"]
    if codings and (codings[0].lower() != b"chunked" or len(codings) > 1):
        # RFC 9112 section 6.1. Two readings of one body are the door to request smuggling.
        raise UnsupportedRequestError("the only transfer coding understood here is `chunked`")
    if codings and head.is_http_10:
        raise RefusedError("HTTP/1.0 knows no Transfer-Encoding")
