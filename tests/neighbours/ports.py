"""Ports for programs that must be told one before they listen.

The kernel gives outgoing connections any port of its own range, at any moment. A port from that
range can therefore be taken between its choice and the start of the program. These ports lie below
the range, and each is chosen once among all test processes of this machine.
"""

import random
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_KERNELS_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST: Final = 10_000
_CHOICES = random.SystemRandom()
# A name in the kernel's table, without a file. It is free again when the test process has ended.
_CHOSEN: Final[dict[int, socket.socket]] = {}


def free_port() -> int:
    """Return a port where nothing listens, and that no other call returns."""
    beyond = int(_KERNELS_RANGE.read_text().split()[0])
    while True:
        port = _CHOICES.randrange(_FIRST, beyond)
        if port not in _CHOSEN and _choose(port):
            return port


def free_ports(count: int) -> Sequence[int]:
    """Return *count* ports as `free_port` does."""
    return [free_port() for _ in range(count)]


def is_listening(port: int) -> bool:
    """Say whether a program listens on *port* of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _choose(port: int) -> bool:
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0podwarden-audit-test-port-{port}")
        with socket.socket() as probe:
            probe.bind(("", port))
    except OSError:
        name.close()
        return False
    _CHOSEN[port] = name
    return True
