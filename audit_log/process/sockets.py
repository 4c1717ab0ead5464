"""Opening a port, and closing it when the last call on it has been answered."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web


class CannotListenError(Exception):
    """The address is taken, or not ours to listen on. The message says which and why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens."""

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
    """Listen on *wanted*, as *setting* says; yield the address in use.

    One that *is_shared* may be listened on by several processes (SO_REUSEPORT).

    On leaving, accept nothing more and wait for the calls in flight, as long as *runner* does.
    Raises CannotListenError.
    """
    await runner.setup()
    try:
        try:
            site = web.TCPSite(
                runner,
                wanted.host,
                wanted.port,
                ssl_context=tls,
                reuse_port=is_shared or None,
            )
            await site.start()
        except OSError as error:
            # The loop says the address once more, before the reason.
            reason = str(error.strerror).rpartition(": ")[2]
            raise CannotListenError(
                f"{setting}: cannot listen on {wanted.host} port {wanted.port}: {reason}"
            ) from error
        host, port, *_ = runner.addresses[0]
        yield Address(host, port)
    finally:
        await runner.cleanup()
