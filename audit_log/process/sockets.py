"""Opens a port, and closes it when the last call on it has ended."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web


class CannotListenError(Exception):
    """The address is in use, or we may not listen on it. The message says which and why."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port to listen on."""

    host: str
    port: int


HANDSHAKE_SECONDS: Final = 10.0
"""How long a client may take for its TLS handshake; asyncio's default is a minute."""


class _Site(web.TCPSite):
    """aiohttp's site with a limit for TLS handshakes."""

    async def start(self) -> None:
        await web.BaseSite.start(self)
        assert self._runner.server is not None
        self._server = await asyncio.get_running_loop().create_server(
            self._runner.server,
            self._host,
            self._port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            reuse_port=self._reuse_port,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if self._ssl_context else None,
        )


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
            site = _Site(
                runner,
                wanted.host,
                wanted.port,
                ssl_context=tls,
                reuse_port=is_shared or None,
            )
            await site.start()
        except OSError as error:
            # The loop's message repeats the address before the reason.
            reason = str(error.strerror).rpartition(": ")[2]
            raise CannotListenError(
                f"{setting}: cannot listen on {wanted.host} port {wanted.port}: {reason}"
            ) from error
        host, port, *_ = runner.addresses[0]
        yield Address(host, port)
    finally:
        await runner.cleanup()
