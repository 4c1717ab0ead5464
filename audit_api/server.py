"""Where the audit API listens: aiohttp's server, answering in our shape even what is not HTTP."""

import asyncio
from typing import Final

import structlog
from aiohttp import web

from audit_api.errors import MalformedRequestError
from audit_api.responses import error_response, responding_to_errors

log = structlog.get_logger("audit_api")

STOP_SECONDS: Final = 10
"""How long questions under way may take to end when the service stops."""


def runner_of(app: web.Application) -> web.BaseRunner:
    """Return what serves *app*. Its clean-up waits for the questions under way."""
    return _Runner(app, shutdown_timeout=STOP_SECONDS)


class _Connection(web.RequestHandler):
    """A connection whose faults are answered in JSON and leave one line, never a traceback.

    Whoever can reach the port can send bytes that are no HTTP; what they cause is no news to the
    operator, so it is told at level debug.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        _status: int = 500,
        exc: BaseException | None = None,
        _message: str | None = None,
    ) -> web.StreamResponse:
        # aiohttp's message quotes the caller's bytes, so the kind alone is told.
        log.debug("request.malformed", error=type(exc).__name__, client=request.remote)
        return error_response(MalformedRequestError("The request is malformed or too large"))

    def log_exception(self, *_message: object, exc_info: object = None, **_: object) -> None:
        log.debug("connection.failed", error=type(exc_info).__name__)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        """Return aiohttp's server with our connections and with our errors around everything.

        Around everything, because routing and `Expect` fail outside of any middleware. A caller
        that hangs up ends its question, and the query with it.
        """
        plain = await super()._make_server()
        return _Server(
            responding_to_errors(plain.request_handler),
            request_factory=plain.request_factory,
            handler_cancellation=True,
            access_log=None,  # it would tell query strings, which can hold secrets
        )
