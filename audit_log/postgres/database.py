"""The database: the door to PostgreSQL for everything above it.

Theory of operation. A `Database` runs each statement in a transaction of its own, or several in
one with `transaction`. It connects when first used and again after a loss; no call waits longer
than its limit. The parts beneath it, each a module of its own:

- `connections`: the pool, and the connection that listens for notifications;
- `transaction`: BEGIN, COMMIT, ROLLBACK, and the statements between them;
- `copying`: COPY with a time limit;
- `driver_errors`: sorts what the driver raises into "not now" and "never".

It works behind a connection pooler that assigns a server connection per transaction (pgbouncer):
no named prepared statements, every statement in a transaction, no session state. Notifications do
not pass such a pooler, so they only ever shorten a wait: each user of them also polls.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final

import asyncpg

from audit_log.clock import Sample
from audit_log.errors import StoreError
from audit_log.postgres.connections import CONNECT_SECONDS, FAREWELL_SECONDS, Connections
from audit_log.postgres.driver_errors import translated
from audit_log.postgres.transaction import Row, Transaction, begun
from audit_log.process.url_parameters import for_driver

STATEMENT_SECONDS: Final = 30.0
# Without a schema: the first of that name in the search_path.
_CLOCK: Final = "SELECT clock_timestamp()::timestamptz AS told"


class Database:
    """A PostgreSQL database that may be away. Connects when first used, and again when lost.

    Every method raises `StoreUnavailableError` (not now) or `RecordRefusedError` (never), within
    a bounded time.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """Return all rows of *sql*."""
        async with self.transaction() as transaction:
            return await transaction.fetch(sql, *arguments)

    async def fetch_row(self, sql: str, *arguments: object) -> Row | None:
        """Return the first row of *sql*, or None."""
        async with self.transaction() as transaction:
            return await transaction.fetch_row(sql, *arguments)

    async def fetch_for_each(self, sql: str, arguments: Iterable[Sequence[object]]) -> list[Row]:
        """Return the rows of *sql* for each of *arguments* in turn, in one round trip."""
        async with self.transaction() as transaction:
            return await transaction.fetch_for_each(sql, arguments)

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run *sql*; without arguments it may be several statements."""
        async with self.transaction() as transaction:
            await transaction.execute(sql, *arguments)

    async def look_at_clock(self, elapsed: Callable[[], float]) -> Sample:
        """Return what the server's clock says, between two values of *elapsed*."""
        async with self.transaction() as transaction:
            # Not before: to wait for a connection is no part of the round trip.
            asked_at = elapsed()
            [row] = await transaction.fetch(_CLOCK)
            return Sample(row["told"], asked_at, elapsed())

    @asynccontextmanager
    async def transaction(
        self, *, statement_seconds: float = STATEMENT_SECONDS
    ) -> AsyncIterator[Transaction]:
        """Yield a transaction: committed if the block ends well, rolled back if it raises."""
        async with (
            self._connections.one() as connection,
            begun(connection, statement_seconds) as transaction,
        ):
            yield transaction

    def notifications(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Listen on *channel*, on one of the connections; yield the payloads as they come.

        If that is the only connection, it goes on serving transactions. The iterator raises
        `StoreUnavailableError` when the connection is lost. Notifications sent until the next
        subscription are then lost too.
        """
        return self._connections.notifications(channel)


@asynccontextmanager
async def open_database(
    url: str, *, connections: int = 2, application: str
) -> AsyncIterator[Database]:
    """Yield the database at *url*, whether or not it can be reached. At most *connections*."""
    pool = asyncpg.create_pool(
        for_driver(url),
        min_size=0,  # nothing connects, and nothing can fail, before the first use
        max_size=connections,
        reset=_nothing_to_reset,
        timeout=CONNECT_SECONDS,
        command_timeout=STATEMENT_SECONDS,
        statement_cache_size=0,
        server_settings={"application_name": application},
    )
    async with pool:
        try:
            yield Database(Connections(pool))
        finally:
            # Leaving the pool's block terminates connections that did not close in time.
            with suppress(StoreError), translated():
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await pool.close()


async def _nothing_to_reset(_connection: asyncpg.Connection) -> None:
    """Save the round trip that would reset a session's state: sessions have none."""
