"""Noticing that the other end of a connection is gone without having said so."""

import asyncio
import socket
from typing import Final

IDLE_SECONDS: Final = 60
INTERVAL_SECONDS: Final = 15
PROBES: Final = 4
"""A silent stream is asked after a minute, and given up after another."""


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Have the kernel ask the other end whether it still lives (RFC 9293 section 3.8.4)."""
    opened = transport.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL_SECONDS)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
