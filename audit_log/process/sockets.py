"""Opens a port, and closes it when the last call on it has ended."""

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address
from typing import Final

from aiohttp import web

HANDSHAKE_SECONDS: Final = 10.0
"""How long a client may take for its TLS handshake; asyncio's default is a minute."""


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
            await _Site(runner, wanted, tls, is_shared=is_shared).start()
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


class _Site(web.BaseSite):
    """One address that a runner serves: on both families at `::`, with a limit for handshakes."""

    def __init__(
        self,
        runner: web.BaseRunner,
        wanted: Address,
        tls: ssl.SSLContext | None,
        *,
        is_shared: bool,
    ) -> None:
        super().__init__(runner, ssl_context=tls)
        self._wanted = wanted
        self._is_shared = is_shared

    @property
    def name(self) -> str:
        return f"{self._wanted.host}:{self._wanted.port}"

    async def start(self) -> None:
        await super().start()
        assert self._runner.server is not None
        create = partial(
            asyncio.get_running_loop().create_server,
            self._runner.server,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if self._ssl_context else None,
        )
        if _is_everywhere(self._wanted.host):
            self._server = await create(sock=self._on_both_families())
        else:
            self._server = await create(
                self._wanted.host, self._wanted.port, reuse_port=self._is_shared or None
            )

    def _on_both_families(self) -> socket.socket:
        """Return a socket for IPv6 and IPv4; asyncio would open one for IPv6 alone."""
        if not socket.has_dualstack_ipv6():
            reason = "this machine has no IPv6; 0.0.0.0 takes all of IPv4"
            raise OSError(errno.EAFNOSUPPORT, reason)
        return socket.create_server(
            ("::", self._wanted.port),
            family=socket.AF_INET6,
            backlog=self._backlog,
            reuse_port=self._is_shared,
            dualstack_ipv6=True,
        )


def _is_everywhere(host: str) -> bool:
    """Say whether *host* is the unspecified address of IPv6: it takes clients of both families."""
    try:
        return IPv6Address(host).is_unspecified
    except ValueError:
        return False
