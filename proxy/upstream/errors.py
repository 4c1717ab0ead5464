"""What can go wrong with the upstream. Each error carries the answer that the client gets."""

from http import HTTPStatus

from audit_log.record import Outcome
from proxy.errors import ExchangeError


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


class UpstreamTimedOutError(UpstreamError):
    """The upstream took too long to connect or to begin its answer."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    outcome = Outcome.UPSTREAM_TIMED_OUT


class UpstreamBrokeOffError(UpstreamError):
    """The answer makes no sense, or ended before its announced end."""

    outcome = Outcome.UPSTREAM_BROKE_OFF
