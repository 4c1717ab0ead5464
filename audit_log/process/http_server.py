"""aiohttp's server for the ops port and the audit API, with limits for those who only connect.

Theory of operation. A connection is quiet while no request of its is handled. A quiet connection
is ended after `IDLE_SECONDS`: that covers silence, a head that does not end, and keep-alive. When
there are more connections than allowed, the one that has been quiet for longest is ended. So
strangers who only connect cannot keep a request from being heard.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

IDLE_SECONDS: Final = 75.0
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _as_it_is(handler: Handler) -> Handler:
    return handler


class LimitedServer(web.Server):
    """A server of at most so many connections."""

    def __init__(
        self,
        handler: Handler,
        *,
        max_connections: int,
        connection: type[web.RequestHandler] = web.RequestHandler,
        **options: Any,
    ) -> None:
        """Let *handler* respond, on connections of the class *connection*."""
        options.setdefault("keepalive_timeout", IDLE_SECONDS)
        super().__init__(self._heard, **options)
        self._respond = handler
        self._max_connections = max_connections
        self._connection = connection
        self._quiet: OrderedDict[web.RequestHandler, None] = OrderedDict()
        """Those that are quiet, the longest first."""
        self._busy: set[web.RequestHandler] = set()

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return self._connection(self, loop=asyncio.get_running_loop(), **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Learn of a new connection; end a quiet one, which may be this one, if it is too many."""
        super().connection_made(handler, transport)
        self._quiet[handler] = None
        if len(self._quiet) + len(self._busy) > self._max_connections:
            longest, _ = self._quiet.popitem(last=False)
            longest.force_close()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Learn that a connection has ended."""
        self._quiet.pop(handler, None)
        self._busy.discard(handler)
        super().connection_lost(handler, exc)

    async def _heard(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if connection in self._quiet:
            del self._quiet[connection]
            self._busy.add(connection)
        try:
            return await self._respond(request)
        finally:
            if connection in self._busy:
                self._busy.discard(connection)
                self._quiet[connection] = None


class LimitedRunner(web.AppRunner):
    """Runs an application on a `LimitedServer`."""

    def __init__(
        self,
        app: web.Application,
        *,
        around: Callable[[Handler], Handler] = _as_it_is,
        shutdown_timeout: float = 60.0,
        **options: Any,
    ) -> None:
        """Put *around* around all of the application; *options* are those of `LimitedServer`."""
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._around = around
        self._options = options

    async def _make_server(self) -> web.Server:
        """Return our server in place of aiohttp's.

        A middleware would not do for *around*: routing and `Expect` fail outside of middlewares.
        """
        plain = await super()._make_server()
        return LimitedServer(
            self._around(plain.request_handler),
            request_factory=plain.request_factory,
            access_log=None,  # it would log query strings, which can hold secrets
            **self._options,
        )
