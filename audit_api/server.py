"""aiohttp's server with JSON responses even to requests that are not valid HTTP."""

from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web

from audit_api.errors import MalformedRequestError
from audit_api.responses import Handler, error_response, responding_to_errors
from audit_log.process.files import files_for_connections
from audit_log.process.http_server import LimitedRunner

log = structlog.get_logger("audit_api")

MAX_CONNECTIONS: Final = 10_000
"""Each takes some kilobytes, also while it is silent."""
STOP_SECONDS: Final = 10
"""How long open requests may take to end when the service stops."""


def runner_of(app: web.Application, measured: Callable[[Handler], Handler]) -> web.BaseRunner:
    """Return the runner of *app*. Its clean-up waits for open requests, 10 s at most.

    Requests are *measured* with their error responses.
    A client that closes its connection cancels its handler, and with it the database query.
    """
    return LimitedRunner(
        app,
        max_connections=min(files_for_connections(), MAX_CONNECTIONS),
        connection=_Connection,
        around=lambda handler: measured(responding_to_errors(handler)),
        handler_cancellation=True,
        shutdown_timeout=STOP_SECONDS,
    )


class _Connection(web.RequestHandler):
    """A connection whose protocol errors get a JSON response and one log line, no traceback.

    Any client that reaches the port can send bytes that are not HTTP. That is no news for the
    operator, so the level is debug.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        _status: int = 500,
        exc: BaseException | None = None,
        _message: str | None = None,
    ) -> web.StreamResponse:
        # Only the type: aiohttp's message quotes the client's bytes.
        log.debug("request.malformed", error=type(exc).__name__, client=request.remote)
        return error_response(MalformedRequestError("The request is malformed or too large"))

    def log_exception(self, *_message: object, exc_info: object = None, **_: object) -> None:
        log.debug("connection.failed", error=type(exc_info).__name__)
