"""The other end of a client's connection, as far as a transport tells."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import Final

from proxy.http.peers import Network, Peer, is_trusted

_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time at all: the connection ends by a reset."""


def peer_of(transport: asyncio.BaseTransport, trusted: Sequence[Network]) -> Peer:
    """Return who is at the other end of *transport*; asked once a connection."""
    peername = transport.get_extra_info("peername")
    # Without the zone of a link-local address: it means something on this host alone.
    address = peername[0].partition("%")[0] if peername else "0.0.0.0"
    scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
    return Peer(address, scheme, is_trusted(address, trusted))


LINGER_SECONDS: Final = 2.0
"""How long we go on listening after our last answer. Closing on bytes that we have not read would
reset the connection, and take the answer away from a client that has not read it yet."""


def cut(transport: asyncio.Transport, *, by_reset: bool) -> None:
    """End *transport* at once; *by_reset* where a mere end would look like a good one."""
    if by_reset:
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE
        )
    transport.abort()
