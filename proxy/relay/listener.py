"""The client's side of the general lane: aiohttp's server, taught to stay out of the answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.http_websocket import WebSocketReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from proxy.http.own_response import own_response
from proxy.http.peers import Network, Peer
from proxy.relay.request_reader import ReadRequest, RequestReader
from proxy.relay.response_relay import Relay, Tunnel
from proxy.relay.sockets import LINGER_SECONDS, cut, peer_of

log = structlog.get_logger(__name__)

BODY_BUFFER_BYTES: Final = 65_536
"""Of a request's body; the client is paused when twice as much waits for the upstream."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class RelayRequest(web.BaseRequest):
    """A request whose head is ours; aiohttp's own idea of it stays empty."""

    def __init__(self, received: ReadRequest, *rest: Any) -> None:
        super().__init__(_NOTHING_READ, *rest)
        self.received = received


_NOTHING_READ: Final = RawRequestMessage(
    method="",
    path="",
    version=HttpVersion11,
    headers=CIMultiDictProxy(CIMultiDict()),
    raw_headers=(),
    should_close=False,
    compression=None,
    upgrade=False,
    chunked=False,
    url=URL("/"),
)


def _request(
    received: ReadRequest,
    content: StreamReader,
    listener: "Listener",
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> RelayRequest:
    return RelayRequest(received, content, listener, writer, task, asyncio.get_running_loop())


class Answered(web.StreamResponse):
    """An answer that stands on the wire already; all aiohttp needs to know is what comes next."""

    def __init__(self, *, keeps_alive: bool) -> None:
        super().__init__()
        self._keeps_alive = keeps_alive

    @property
    def keep_alive(self) -> bool:
        """Say whether another request may follow."""
        return self._keeps_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""


class Listener(web.RequestHandler):
    """One client connection."""

    __slots__ = (
        "_is_forced",
        "_may_send",
        "_networks",
        "_peer",
        "_reader",
        "_tunnel",
        "has_hung_up",
        "relay",
    )

    def __init__(
        self,
        manager: web.Server,
        networks: Sequence[Network],
        *,
        loop: asyncio.AbstractEventLoop,
        **kwargs: Any,
    ) -> None:
        super().__init__(manager, loop=loop, **kwargs)
        self._networks = networks
        # aiohttp's parser takes no method that it does not know and no target beyond ASCII.
        self._reader = RequestReader(self, loop, BODY_BUFFER_BYTES)
        self._parser = cast("HttpRequestParser", self._reader)
        self.relay: Relay | None = None
        """The answer that is under way."""
        self.has_hung_up = False
        """The client ended the connection, rather than we."""
        self._tunnel: Tunnel | None = None
        self._is_forced = False
        self._may_send = asyncio.Event()
        self._may_send.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who it is, once a connection."""
        self._peer = peer_of(transport, self._networks)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell whose doing it was, before the handler is cancelled for it."""
        self.has_hung_up = not self._is_forced
        super().connection_lost(exc)

    def force_close(self) -> None:
        """End the connection: the time to stop is over."""
        self._is_forced = True
        super().force_close()

    @property
    def peer(self) -> Peer:
        """Return the other end of the connection."""
        return self._peer

    def pause_writing(self) -> None:
        """Stop the answer while the client takes nothing in."""
        super().pause_writing()
        self._may_send.clear()
        if self.relay is not None:
            self.relay.client_is_slow()

    def resume_writing(self) -> None:
        """Let the answer go on."""
        super().resume_writing()
        self._may_send.set()
        if self.relay is not None:
            self.relay.client_goes_on()

    def send(self, data: bytes) -> None:
        """Send *data* to the client; without effect once it has gone."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    async def drained(self) -> None:
        """Wait until the client has taken in what it was sent."""
        await self._may_send.wait()

    async def say_farewell(self) -> None:
        """Send nothing more, and wait until the client has read what it was sent, and gone.

        The handler that waits here is cancelled when it has.
        """
        if self.transport is None or not self.transport.can_write_eof():
            return
        self._reader.discard_the_rest()
        self.transport.write_eof()
        self.transport.resume_reading()
        await asyncio.sleep(LINGER_SECONDS)

    def pause_transport(self) -> None:
        """Take in nothing more from the client."""
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_transport(self) -> None:
        """Go on taking in."""
        if self.transport is not None:
            self.transport.resume_reading()

    def cut(self, *, by_reset: bool) -> None:
        """End the connection at once; *by_reset* where a mere end would look like a good one."""
        if self.transport is not None:
            cut(self.transport, by_reset=by_reset)

    def switch(self, tunnel: Tunnel) -> None:
        """Hand whatever the client sends from now on to *tunnel*, as it is."""
        self._tunnel = tunnel
        # aiohttp asks for two methods of what it calls a WebSocketReader, and a tunnel has them.
        self.set_parser(cast("WebSocketReader", tunnel))

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks, aiohttp says None
        """Let a tunnel live on in the other direction; without one, the client has hung up."""
        if self._tunnel is not None:
            self._tunnel.end_sending()
        return self._tunnel is not None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what we failed at in our own shape, and leave one line instead of a trace."""
        log.error("request.handler_failed", client=request.remote, error=repr(exc))
        if self.relay is None or self.relay.status is None:
            detail = message or HTTPStatus(status).phrase
            self.send(own_response(status, detail, keeps_alive=False))
        return Answered(keeps_alive=False)

    def log_exception(self, *_message: object, exc_info: object = None, **_: object) -> None:
        """Tell what clients cause at level debug: it is no news to the operator."""
        log.debug("connection.failed", error=repr(exc_info))


class Listeners(web.Server):
    """Makes a listener for each client connection."""

    def __init__(
        self, handler: Handler, networks: Sequence[Network], *, idle_seconds: float
    ) -> None:
        """Hand each request to *handler*; cancel it when its client hangs up."""
        super().__init__(handler, request_factory=cast("Any", _request), handler_cancellation=True)
        self._networks = networks
        self._idle_seconds = idle_seconds

    def __call__(self) -> Listener:
        """Return a listener for a new connection."""
        return Listener(
            self,
            self._networks,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._idle_seconds,
            access_log=None,
        )
