"""What the socket of a connection tells and is told: the peer's address, TCP keep-alive."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from audit_log.addresses import Network
from proxy.http.peers import Peer

KEEPALIVE_IDLE_SECONDS: Final = 60
KEEPALIVE_INTERVAL_SECONDS: Final = 15
KEEPALIVE_PROBES: Final = 4
"""A silent connection is probed after a minute, and given up after another."""


def peer_of(transport: asyncio.BaseTransport, trusted: Sequence[Network]) -> Peer:
    """Return the peer of *transport*. Asked once per connection."""
    peername = transport.get_extra_info("peername")
    scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
    return Peer.at(peername[0] if peername else "0.0.0.0", scheme, trusted)


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """TCP keep-alive: have the kernel detect a peer that vanished (RFC 9293 section 3.8.4)."""
    opened = transport.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)


def acknowledge(transport: asyncio.BaseTransport) -> None:
    """Have the kernel acknowledge at once what has arrived, and not with the next data.

    A peer with Nagle's algorithm (RFC 9293 section 3.7.4) sends nothing more until then, and
    loses it if it closes meanwhile.
    """
    transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
