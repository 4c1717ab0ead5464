"""Addresses on this machine: which are free, and how a person reaches them."""

import errno
import socket
from typing import Final

from deploy.local.errors import CannotRunError

DEMO_PORT: Final = 8000
"""Where PodWarden itself listens by default."""

_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that one can listen on but should not connect to, and what to use instead."""


def url(host: str, port: int) -> str:
    """Return how to reach from here what listens on *host* and *port*."""
    host = _ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def require_free(host: str, port: int, variable: str) -> None:
    """Raise CannotRunError unless we could listen on *host* and *port*, set by *variable*."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "is taken" if taken else f"cannot be used ({error.strerror})"
        raise CannotRunError(
            f"port {port} on {host} {reason}; choose another with {variable}"
        ) from None


def demo_listener(wanted: int) -> socket.socket:
    """Return a listening socket on the *wanted* port of loopback, or on any free one."""
    try:
        return socket.create_server(("127.0.0.1", wanted))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))
