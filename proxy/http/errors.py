"""What can keep an exchange from its proper end. Each error carries the answer for the client."""

from http import HTTPStatus
from typing import Final

from audit_log.record import Outcome

INVALID_TOKEN_CHALLENGE = (b"WWW-Authenticate", b'Bearer error="invalid_token"')
"""RFC 6750 section 3.1."""


class ExchangeError(Exception):
    """The exchange cannot go on. The message is what the client reads in `detail`."""

    status: HTTPStatus
    outcome: Outcome
    fields: tuple[tuple[bytes, bytes], ...] = ()


class RefusedError(ExchangeError):
    """We will not pass this request on."""

    outcome = Outcome.REFUSED
    status = HTTPStatus.BAD_REQUEST


class TokenRefusedError(RefusedError):
    """The token is unknown, expired or revoked."""

    status = HTTPStatus.UNAUTHORIZED
    fields = (INVALID_TOKEN_CHALLENGE,)


class BodyTimedOutError(RefusedError):
    """The client stopped sending in the middle of the body."""

    status = HTTPStatus.REQUEST_TIMEOUT


class MalformedBodyError(RefusedError):
    """The body of the request breaks its own framing; part of it may have gone upstream."""


IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""RFC 9110 section 9.2.2: doing it twice is like doing it once."""


class UpstreamError(ExchangeError):
    """The upstream did not do its part."""

    status = HTTPStatus.BAD_GATEWAY
    outcome = Outcome.UPSTREAM_UNREACHABLE


class UpstreamUnreachableError(UpstreamError):
    """No connection could be made, or it ended before anything was answered."""

    def __init__(self, message: str, *, on_kept_connection: bool = False) -> None:
        super().__init__(message)
        self.on_kept_connection = on_kept_connection
        """The connection had served before, so the upstream may merely have grown tired of it."""

    def may_be_retried(self, method: bytes, *, has_body: bool) -> bool:
        """Say whether sending the request once more cannot do anything twice.

        Its bytes may have arrived, so *method* has to be idempotent (RFC 9112 section 9.3.1).
        """
        return self.on_kept_connection and method in IDEMPOTENT and not has_body


class UpstreamTimedOutError(UpstreamError):
    """The upstream took too long to connect or to begin its answer."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    outcome = Outcome.UPSTREAM_TIMED_OUT


class UpstreamBrokeOffError(UpstreamError):
    """The answer makes no sense, or ended before its announced end."""

    outcome = Outcome.UPSTREAM_BROKE_OFF
