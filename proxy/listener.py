"""The client's side of the general lane: aiohttp's server, taught to stay out of the answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_websocket import WebSocketReader

from proxy.answers import own_answer
from proxy.headers import Peer
from proxy.identity import is_trusted
from proxy.relay import Relay
from proxy.settings import Network
from proxy.upstream import UpstreamConnection

log = structlog.get_logger(__name__)

# Two different numbers, so that aiohttp's error tells which of the two was exceeded.
MAX_TARGET_BYTES: Final = 32_768
MAX_FIELD_BYTES: Final = 65_536
MAX_FIELDS: Final = 256

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


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

    __slots__ = ("_networks", "_peer", "relay")

    def __init__(self, manager: web.Server, networks: Sequence[Network], **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._networks = networks
        self.relay: Relay | None = None
        """The answer that is under way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who it is, once a connection."""
        peername = transport.get_extra_info("peername")
        address = peername[0] if peername else "0.0.0.0"
        scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        self._peer = Peer(address, scheme, is_trusted(address, self._networks))
        super().connection_made(transport)

    @property
    def peer(self) -> Peer:
        """Return the other end of the connection."""
        return self._peer

    def pause_writing(self) -> None:
        """Stop the answer while the client takes nothing in."""
        super().pause_writing()
        if self.relay is not None:
            self.relay.client_is_slow()

    def resume_writing(self) -> None:
        """Let the answer go on."""
        super().resume_writing()
        if self.relay is not None:
            self.relay.client_goes_on()

    def send(self, data: bytes) -> None:
        """Send *data* to the client; without effect once it has gone."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def abort(self) -> None:
        """Cut the connection so that the client notices."""
        if self.transport is not None:
            self.transport.abort()

    def switch(self, connection: UpstreamConnection) -> None:
        """Hand whatever the client sends from now on to *connection*, as it is."""
        # aiohttp asks for no more than these two methods of what it calls a WebSocketReader.
        self.set_parser(cast("WebSocketReader", _Tunnel(self, connection)))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request, or what we failed at, in our own shape, without a trace."""
        if isinstance(exc, HttpProcessingError):
            status, detail = _complaint(exc)
        else:
            log.error("request.handler_failed", path=request.path, error=repr(exc))
            detail = message or HTTPStatus(status).phrase
        if self.relay is None or self.relay.status is None:
            self.send(own_answer(status, detail, keeps_alive=False))
        return Answered(keeps_alive=False)


class Listeners(web.Server):
    """Makes a listener for each client connection."""

    def __init__(
        self, handler: Handler, networks: Sequence[Network], *, idle_seconds: float
    ) -> None:
        """Hand each request to *handler*; cancel it when its client hangs up."""
        super().__init__(handler, handler_cancellation=True)
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
            auto_decompress=False,
            max_line_size=MAX_TARGET_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_FIELDS,
        )


class _Tunnel:
    """What a client sends after a change of protocols, on its way upstream."""

    def __init__(self, listener: Listener, connection: UpstreamConnection) -> None:
        self._listener = listener
        self._connection = connection

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._connection.send(data)
        return False, b""

    def feed_eof(self) -> None:
        self._connection.close()


def _complaint(error: HttpProcessingError) -> tuple[int, str]:
    """Return status and detail for a request that could not be parsed."""
    if not isinstance(error, LineTooLong):
        # The rest of aiohttp's message quotes what was received, which may be a secret.
        complaint = error.message.splitlines()[0].rstrip(":")
        return HTTPStatus.BAD_REQUEST, f"malformed request: {complaint}"
    if error.args[1] == MAX_TARGET_BYTES:
        status, what = HTTPStatus.REQUEST_URI_TOO_LONG, "the path"
    else:
        status, what = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a header field"
    return status, f"{what} is longer than {error.args[1]} bytes"
