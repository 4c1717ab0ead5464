"""Opens a port, and closes it when the last call on it has ended."""

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from aiohttp import web

BACKLOG: Final = 128
"""Connections that the kernel accepts before we do."""


class CannotListenError(Exception):
    """The address is in use, or we may not listen on it. The message says which and why."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port to listen on."""

    host: str
    port: int


@asynccontextmanager
async def listening(
    runner: web.BaseRunner,
    wanted: Address,
    setting: str,
    *,
    is_shared: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Address]:
    """Listen on *wanted*, which *setting* names; yield the address in use.

    Several processes may listen on an address that *is_shared* (SO_REUSEPORT).

    On leaving, accept no more connections and wait for the calls in flight, up to the time limit
    of *runner*. Raises CannotListenError.
    """
    await runner.setup()
    try:
        try:
            await _site(runner, wanted, tls, is_shared=is_shared).start()
        except OSError as error:
            # The loop's message repeats the address before the reason, the other one behind it.
            reason = str(error.strerror).rpartition(": ")[2].partition(" (")[0]
            raise CannotListenError(
                f"{setting}: cannot listen on {wanted.host} port {wanted.port}: {reason}"
            ) from error
        host, port, *_ = runner.addresses[0]
        yield Address(host, port)
    finally:
        await runner.cleanup()


def _site(
    runner: web.BaseRunner, wanted: Address, tls: ssl.SSLContext | None, *, is_shared: bool
) -> web.BaseSite:
    if not _is_everywhere(wanted.host):
        return web.TCPSite(
            runner, wanted.host, wanted.port, ssl_context=tls, reuse_port=is_shared or None
        )
    if not socket.has_dualstack_ipv6():
        raise OSError(errno.EAFNOSUPPORT, "this machine has no IPv6; 0.0.0.0 takes all of IPv4")
    # asyncio would open a port for IPv6 alone.
    opened = socket.create_server(
        ("::", wanted.port),
        family=socket.AF_INET6,
        backlog=BACKLOG,
        reuse_port=is_shared,
        dualstack_ipv6=True,
    )
    return web.SockSite(runner, opened, ssl_context=tls, backlog=BACKLOG)


def _is_everywhere(host: str) -> bool:
    """Say whether *host* is the unspecified address of IPv6: it takes clients of both families."""
    try:
        return IPv6Address(host).is_unspecified
    except ValueError:
        return False
