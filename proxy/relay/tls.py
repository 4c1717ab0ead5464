"""TLS to the upstream, with a last look at the socket before a lost connection is reported.

asyncio's TLS reads nothing more once a write has failed, although the kernel may still hold the
response that the upstream sent before it closed. `Flow.rest` reads that on a plain connection;
here the bytes are records, so they go through the TLS layer first. Only public methods are used:
the layer is an `asyncio.BufferedProtocol` on the raw transport.
"""

import asyncio
import ssl
from typing import Final, cast

from proxy.relay.flow import Flow

_OF_THE_LAYER: Final = (
    "get_buffer",
    "buffer_updated",
    "eof_received",
    "pause_writing",
    "resume_writing",
)


class LastLook(asyncio.BufferedProtocol):
    """Stands between the raw transport and the TLS layer; costs a read nothing."""

    def __init__(self, raw: asyncio.Transport) -> None:
        """Wrap the TLS layer that is the protocol of *raw*."""
        self._flow = Flow(raw)
        self._layer = cast("asyncio.BufferedProtocol", raw.get_protocol())
        # The layer's own methods, not methods of this class: each read would pass through Python.
        for name in _OF_THE_LAYER:
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


class _BeforeRequests(asyncio.Protocol):
    """Holds the place of the connection during the handshake, when nothing may be said."""

    def __init__(self) -> None:
        self.has_heard = False

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
    if before.has_heard:
        transport.abort()
        raise ConnectionResetError("the upstream sent bytes before it was asked")
    raw.set_protocol(LastLook(raw))
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
