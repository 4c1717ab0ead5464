"""aiohttp's server with JSON responses even to requests that are not valid HTTP."""

import asyncio
from typing import Final

import structlog
from aiohttp import web

from audit_api.errors import MalformedRequestError
from audit_api.responses import error_response, responding_to_errors

log = structlog.get_logger("audit_api")

STOP_SECONDS: Final = 10
"""How long open requests may take to end when the service stops."""


def runner_of(app: web.Application) -> web.BaseRunner:
    """Return the runner of *app*. Its clean-up waits for open requests, 10 s at most."""
    return _Runner(app, shutdown_timeout=STOP_SECONDS)


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


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        """Return aiohttp's server with our connections, and our error handler around all of it.

        A middleware would not do: routing and `Expect` fail outside of middlewares. A client
        that closes its connection cancels its handler, and with it the database query.
        """
        plain = await super()._make_server()
        return _Server(
            responding_to_errors(plain.request_handler),
            request_factory=plain.request_factory,
            handler_cancellation=True,
            access_log=None,  # it would log query strings, which can hold secrets
        )
