"""What can keep an exchange from its proper end. Each error carries the answer for the client."""

from http import HTTPStatus

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
