"""TLS to the upstream, with a last look at the socket before a lost connection is reported.

asyncio's TLS reads nothing more once a write has failed, although the kernel may still hold the
response that the upstream sent before it closed. `Flow.rest` reads that on a plain connection;
here the bytes are records, so they go through the TLS layer first. Only public methods are used:
the layer is an `asyncio.BufferedProtocol` on the raw transport.

A request is sent once the upstream's session tickets are here and acknowledged. Until then an
upstream with Nagle's algorithm keeps its response back: for 40 ms, or for good if it closes at
once because it refuses the request.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Final, cast

from proxy.relay.flow import Flow
from proxy.relay.sockets import acknowledge

_TICKETS_SECONDS: Final = 0.05
"""So long tickets are waited for: a near upstream's are here by then, and some send none."""


class LastLook(asyncio.BufferedProtocol):
    """Stands between the raw transport and the TLS layer; costs a read nothing."""

    passed_on: tuple[str, ...] = (
        "get_buffer",
        "buffer_updated",
        "eof_received",
        "pause_writing",
        "resume_writing",
    )

    def __init__(self, raw: asyncio.Transport) -> None:
        """Wrap the TLS layer that is the protocol of *raw*."""
        self._flow = Flow(raw)
        self._layer = cast("asyncio.BufferedProtocol", raw.get_protocol())
        # The layer's own methods, not methods of this class: each read would pass through Python.
        for name in self.passed_on:
            setattr(self, name, getattr(self._layer, name))

    def connection_lost(self, exc: Exception | None) -> None:
        """Decrypt what the kernel still holds, then report the loss."""
        rest = memoryview(self._flow.rest() if exc is not None else b"")
        while rest:
            buffer = memoryview(self._layer.get_buffer(len(rest)))
            size = min(len(buffer), len(rest))
            buffer[:size] = rest[:size]
            self._layer.buffer_updated(size)
            rest = rest[size:]
        self._layer.connection_lost(exc)


class _UntilTickets(LastLook):
    """Tells when the upstream sends something after the handshake: session tickets, mostly."""

    passed_on = tuple(name for name in LastLook.passed_on if name != "buffer_updated")

    def __init__(self, raw: asyncio.Transport) -> None:
        """Wrap the TLS layer that is the protocol of *raw*."""
        super().__init__(raw)
        self.has_heard = asyncio.Event()

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what has come, and say so."""
        acknowledge(self._flow.transport)
        self.has_heard.set()
        self._layer.buffer_updated(nbytes)


class _BeforeRequests(asyncio.Protocol):
    """Holds the place of the connection during the handshake, when nothing may be said."""

    def __init__(self) -> None:
        self.has_heard = False
        self.error: Exception | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Note why the upstream did not go on, such as an alert that refuses our certificate."""
        self.error = exc

    def data_received(self, _data: bytes) -> None:
        """Note that the upstream has sent bytes without a request."""
        self.has_heard = True


async def secured(
    raw: asyncio.Transport, protocol: asyncio.Protocol, context: ssl.SSLContext, host: str
) -> None:
    """Do the handshake on *raw*, and connect *protocol* with what is decrypted.

    Raises OSError, of which ssl.SSLError is one; the connection is closed then.
    """
    before = _BeforeRequests()
    loop = asyncio.get_running_loop()
    transport = await loop.start_tls(raw, before, context, server_hostname=host)
    assert transport is not None
    if transport.get_extra_info("ssl_object").version() == "TLSv1.3":
        await _wait_for_tickets(raw)
    if before.has_heard:
        transport.abort()
        raise ConnectionResetError("the upstream sent bytes before it was asked")
    if transport.is_closing():
        raise before.error or ConnectionResetError("the upstream ended the connection at once")
    raw.set_protocol(LastLook(raw))
    transport.set_protocol(protocol)
    protocol.connection_made(transport)


async def _wait_for_tickets(raw: asyncio.Transport) -> None:
    """Return when the upstream sends something on *raw*, or soon."""
    layer = raw.get_protocol()
    waiting = _UntilTickets(raw)
    raw.set_protocol(waiting)
    with suppress(TimeoutError):
        async with asyncio.timeout(_TICKETS_SECONDS):
            await waiting.has_heard.wait()
    raw.set_protocol(layer)
