"""Errors that end an exchange early. Each carries the response that the client is sent."""

from http import HTTPStatus
from typing import ClassVar, Final

from audit_log.record import Outcome

INVALID_TOKEN_CHALLENGE = (b"WWW-Authenticate", b'Bearer error="invalid_token"')
"""RFC 6750 section 3.1."""


class ExchangeError(Exception):
    """The exchange ends early. The message is the `detail` of the client's response."""

    status: ClassVar[HTTPStatus]
    outcome: ClassVar[Outcome]
    fields: ClassVar[tuple[tuple[bytes, bytes], ...]] = ()


class RefusedError(ExchangeError):
    """The sidecar does not forward this request."""

    outcome = Outcome.REFUSED
    status = HTTPStatus.BAD_REQUEST


class TokenRefusedError(RefusedError):
    """The token is unknown, expired or revoked."""

    status = HTTPStatus.UNAUTHORIZED
    fields = (INVALID_TOKEN_CHALLENGE,)


class TokenUnjudgedError(RefusedError):
    """The token could not be looked up in time: too many others were before it."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    fields = ((b"Retry-After", b"1"),)


class TooManyClientsError(RefusedError):
    """No connection could be ended to make room for this one."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    fields = ((b"Retry-After", b"1"),)


class BodyTimedOutError(RefusedError):
    """The client stopped sending in the middle of the body."""

    status = HTTPStatus.REQUEST_TIMEOUT


class MalformedBodyError(RefusedError):
    """The body of the request breaks its own framing; part of it may have gone upstream."""


IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""Idempotent methods (RFC 9110 section 9.2.2): these may be retried."""


class UpstreamError(ExchangeError):
    """The upstream failed."""

    status = HTTPStatus.BAD_GATEWAY
    outcome = Outcome.UPSTREAM_UNREACHABLE


class UpstreamUnreachableError(UpstreamError):
    """No connection could be made, or it ended before a response began."""

    def __init__(self, message: str, *, on_kept_connection: bool = False) -> None:
        super().__init__(message)
        self.on_kept_connection = on_kept_connection
        """The connection had served before: the upstream may have closed an idle connection."""

    def may_be_retried(self, method: bytes, *, has_body: bool) -> bool:
        """Say whether a retry is safe: nothing can be done twice.

        Its bytes may have arrived, so *method* has to be idempotent (RFC 9112 section 9.3.1).
        """
        return self.on_kept_connection and method in IDEMPOTENT and not has_body


class UpstreamTimedOutError(UpstreamError):
    """The upstream took too long to connect, to read the request or to begin its response."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    outcome = Outcome.UPSTREAM_TIMED_OUT


class UpstreamBrokeOffError(UpstreamError):
    """The response is malformed, or ended before its announced end."""

    outcome = Outcome.UPSTREAM_BROKE_OFF
