"""One side of the relay: a transport with its back-pressure, the same for both sides."""

import asyncio
import os
import socket
import struct
from contextlib import suppress
from typing import Final

_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time at all: the connection ends by a reset."""
_PIECE_BYTES: Final = 65_536
LINGER_SECONDS: Final = 2.0
"""How long a peer that was sent its last response may take to read it."""


class Flow:
    """What is written to a transport, and whether it is read from.

    Reading is paused by us, while the other side of the relay is slower. Writing is paused by the
    transport, which calls `pause_writing` and `resume_writing` of its protocol; those keep
    `may_write`. Each method has no effect once the transport is closing.
    """

    __slots__ = ("_farewell", "is_reading", "may_write", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        """Begin with a transport that is read from and takes what is written."""
        self.transport = transport
        self.is_reading = True
        self.may_write = True
        self._farewell: asyncio.TimerHandle | None = None

    @property
    def is_closing(self) -> bool:
        """Say whether the transport ends, or has ended."""
        return self.transport.is_closing()

    def read(self, *, on: bool) -> None:
        """Read from the transport, or stop reading."""
        if on == self.is_reading or self.transport.is_closing():
            return
        self.is_reading = on
        if on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def write(self, data: bytes, *more: bytes) -> None:
        """Write *data*, and *more* without copying them into one."""
        if self.transport.is_closing():
            return
        if more:
            self.transport.writelines((data, *more))
        else:
            self.transport.write(data)

    def rest(self) -> bytes:
        """Return what the peer sent and the loop has not read, once the connection is lost.

        A write that fails ends the transport before it has read: the kernel still holds what came
        before the reset. To be called in `connection_lost`, while the socket is open. Nothing is
        returned over TLS, where these bytes are records that only the transport could decrypt.
        """
        if self.transport.get_extra_info("sslcontext") is not None:
            return b""
        descriptor = self.transport.get_extra_info("socket").fileno()
        pieces = []
        with suppress(OSError):  # nothing is left, or the socket is closed
            while piece := os.read(descriptor, _PIECE_BYTES):
                pieces.append(piece)
        return b"".join(pieces)

    def end(self) -> bool:
        """Send the end of our stream and go on reading; return False if that cannot be done.

        TLS has no half-closed connections (RFC 8446 section 6.1 permits them, asyncio does not).
        """
        if self.transport.is_closing() or not self.transport.can_write_eof():
            return False
        self.transport.write_eof()
        return True

    def say_farewell(self) -> None:
        """Send the end of our stream, and close LINGER_SECONDS later.

        What the peer still sends is read meanwhile: to close on unread bytes would reset the
        connection, and the peer could lose what it was sent.
        """
        self.read(on=True)
        if self.end():
            loop = asyncio.get_running_loop()
            self._farewell = loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def ended(self) -> None:
        """Learn that the connection is lost."""
        if self._farewell is not None:
            self._farewell.cancel()

    def cut(self, *, by_reset: bool = False) -> None:
        """End the connection at once; *by_reset* where a plain end would look complete."""
        if self.transport.is_closing():
            return
        if by_reset:
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE
            )
        self.transport.abort()
