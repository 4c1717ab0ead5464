"""The TLS handshake of a client, on a connection that counts from its first moment.

Theory of operation. asyncio's servers report a connection over TLS only after its handshake, so
clients that never finish it would take files that nobody counts. Here the plain connection comes
first, and may be ended to make room. TLS begins with the first bytes of the client: these have
been read by then, so they are handed to the TLS layer through its methods as a protocol, in the
moment after it has been connected. Whatever is decrypted before the handshake is known to have
ended waits for the `ClientConnection`.
"""

import asyncio
import ssl
from typing import Protocol, cast

import structlog

from audit_log.process.sockets import HANDSHAKE_SECONDS

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Secured(Protocol):
    """The port, as far as a handshake needs it."""

    def handshake_began(self, handshake: "Handshake") -> None:
        """Learn of a new connection; end it if there are too many."""

    def handshake_ended(
        self, handshake: "Handshake", transport: asyncio.Transport | None, decrypted: bytes
    ) -> None:
        """Go on over *transport*, whose client has sent *decrypted*; None if it failed."""


class Handshake(asyncio.Protocol):
    """A connection that is not secured yet. It may be ended to make room: no response is owed."""

    def __init__(self, port: Secured, context: ssl.SSLContext) -> None:
        """Secure a connection of *port* as *context* says."""
        self._port = port
        self._context = context
        self._transport: asyncio.Transport
        self._overdue: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes, for a limited time."""
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(HANDSHAKE_SECONDS, self.make_room)
        self._port.handshake_began(self)

    def data_received(self, data: bytes) -> None:
        """Begin TLS; *data* is the beginning of the client's first record."""
        self._transport.pause_reading()
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._secure(), name="tls-handshake")
        # The task connects the TLS layer with `call_soon`: this comes right behind that.
        loop.call_soon(loop.call_soon, self._hand_over, data)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Learn that the client has left before it said anything."""
        self._end(None)

    def make_room(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def _hand_over(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        layer = cast("asyncio.BufferedProtocol", self._transport.get_protocol())
        rest = memoryview(data)
        while rest:
            buffer = memoryview(layer.get_buffer(len(rest)))
            size = min(len(buffer), len(rest))
            buffer[:size] = rest[:size]
            layer.buffer_updated(size)
            rest = rest[size:]

    async def _secure(self) -> None:
        decrypted = _Decrypted()
        secure = None
        try:
            secure = await asyncio.get_running_loop().start_tls(
                self._transport,
                decrypted,
                self._context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except Exception as error:  # noqa: BLE001  a client that speaks no TLS is no news
            log.debug("connection.failed", error=type(error).__name__)
        finally:
            if secure is None:
                self._transport.abort()
            self._end(None if decrypted.has_ended else secure, decrypted.content)

    def _end(self, transport: asyncio.Transport | None, decrypted: bytes = b"") -> None:
        if self._overdue is not None:
            self._overdue.cancel()
        self._port.handshake_ended(self, transport, decrypted)


class _Decrypted(asyncio.Protocol):
    """Keeps what the client sends right behind its handshake."""

    def __init__(self) -> None:
        self.content = b""
        self.has_ended = False

    def data_received(self, data: bytes) -> None:
        """Keep *data*; a client sends little before it has heard anything."""
        self.content += data

    def connection_lost(self, _exc: Exception | None) -> None:
        """Note that there is nothing to go on with."""
        self.has_ended = True
