"""The connections to PostgreSQL: a pool that may also listen for notifications.

Theory of operation. The pool opens a connection when one is first needed, so opening a database
neither waits nor fails. A caller takes a connection for one transaction and gives it back. A
subscription to notifications holds one connection for as long as it lasts.

A pool of one connection would then have none left for transactions. So while the only connection
listens, it stays out of the pool and `_only` names it: transactions share it, one at a time, in
the order of `_turn`. `_turn` also covers the moment at which a subscription takes the connection;
a caller that waits at that moment gets the shared connection, not an empty pool.

Every wait has a limit: `CONNECT_SECONDS` for a connection or a turn, `FAREWELL_SECONDS` for giving
one back. A listening connection that was silent for `SILENCE_SECONDS` is tested with a query.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from audit_log.errors import StoreError, StoreUnavailableError
from audit_log.postgres.driver_errors import translated, translated_as_away

CONNECT_SECONDS: Final = 5.0
FAREWELL_SECONDS: Final = 1.0
"""How long the server may take to end a transaction or a connection that is no longer needed."""
SILENCE_SECONDS: Final = 60.0
"""How long a listening connection may be silent before it is tested."""


class Connections:
    """The connections of one pool. Errors are those of `Database`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._only: PoolConnectionProxy | None = None
        """The pool's only connection while it listens."""
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[PoolConnectionProxy]:
        """Yield a connection for one transaction."""
        if self._pool.get_max_size() > 1:
            async with self._acquired() as connection:
                yield connection
            return
        # If the pool's only connection is listening, callers share it instead of waiting.
        async with self._its_turn():
            if self._only is not None:
                yield self._only
                return
            async with self._acquired() as connection:
                yield connection

    @asynccontextmanager
    async def notifications(self, channel: str) -> AsyncIterator[AsyncIterator[str]]:
        """Listen on *channel*; yield the payloads as they come.

        The iterator raises `StoreUnavailableError` when the connection is lost. Notifications
        sent until the next subscription are then lost too.
        """
        heard: asyncio.Queue[str | None] = asyncio.Queue()
        async with AsyncExitStack() as stack:
            async with self._its_turn():
                connection = await stack.enter_async_context(self._acquired())
                stack.callback(self._stop_listening, connection)
                connection.add_termination_listener(lambda *_: heard.put_nowait(None))
                with translated():
                    await connection.add_listener(channel, lambda *said: heard.put_nowait(said[3]))
                if self._pool.get_max_size() == 1:
                    self._only = connection
            yield self._payloads(connection, heard)

    def _stop_listening(self, connection: PoolConnectionProxy) -> None:
        self._only = None
        hang_up(connection)

    async def _payloads(
        self, connection: PoolConnectionProxy, heard: asyncio.Queue[str | None]
    ) -> AsyncIterator[str]:
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    payload = await heard.get()
            except TimeoutError:
                async with self._its_turn():
                    with translated():
                        await connection.execute("SELECT 1")
                continue
            if payload is None:
                raise StoreUnavailableError("the listening connection was lost")
            yield payload

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[PoolConnectionProxy]:
        with translated_as_away():
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
        try:
            yield connection
        finally:
            # The pool closes a connection that cannot be given back in order.
            with suppress(StoreError), translated():
                await self._pool.release(connection, timeout=FAREWELL_SECONDS)

    @asynccontextmanager
    async def _its_turn(self) -> AsyncIterator[None]:
        with translated_as_away():
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()


def hang_up(connection: PoolConnectionProxy) -> None:
    """Close *connection* at once; its termination listeners are called."""
    with suppress(asyncpg.InterfaceError):  # the connection is closed already
        connection.terminate()
