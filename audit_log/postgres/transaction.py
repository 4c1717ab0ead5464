"""A transaction: statements that take effect together or not at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from audit_log.errors import StoreError, StoreUnavailableError
from audit_log.postgres.connections import FAREWELL_SECONDS, hang_up
from audit_log.postgres.copying import copy_into, copy_out_of
from audit_log.postgres.driver_errors import translated, translated_as_away

Row = asyncpg.Record
# Whatever the server, the database or the role set as defaults, in one round trip and for this
# transaction only, so that a connection pooler may be in between. Under REPEATABLE READ a
# statement that waited for a lock would not see what the lock protects. Months begin in UTC. What
# PostgreSQL tells of columns and indexes is compared and changed as text.
_BEGIN: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL TimeZone TO 'UTC';"
    " SET LOCAL quote_all_identifiers TO off; SET LOCAL standard_conforming_strings TO on"
)
ONE_SNAPSHOT: Final = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
LOCK TABLE mcp_audit_log IN ACCESS SHARE MODE
"""
"""For a transaction that reads the log several times, and each time the same.

The lock comes before the snapshot is taken: a table that takes the place of another after it
would look empty.
"""
# A commit that PostgreSQL may still lose is no commit: with "off", records that are confirmed here
# would be gone after a crash. Other values are kept. It is the last statement and not the first,
# because a block may still choose its isolation, which no query may precede.
_COMMIT: Final = """
SELECT set_config('synchronous_commit', 'on', true)
WHERE current_setting('synchronous_commit') = 'off';
COMMIT
"""


class Transaction:
    """An open transaction. Errors are those of `Database`; each call has a time limit."""

    def __init__(self, connection: PoolConnectionProxy, statement_seconds: float) -> None:
        self._connection = connection
        self._seconds = statement_seconds

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """Return all rows of *sql*."""
        with translated():
            return await self._connection.fetch(sql, *arguments, timeout=self._seconds)

    async def fetch_row(self, sql: str, *arguments: object) -> Row | None:
        """Return the first row of *sql*, or None."""
        with translated():
            return await self._connection.fetchrow(sql, *arguments, timeout=self._seconds)

    async def fetch_for_each(self, sql: str, arguments: Iterable[Sequence[object]]) -> list[Row]:
        """Return the rows of *sql* for each of *arguments* in turn, in one round trip."""
        with translated():
            return await self._connection.fetchmany(sql, arguments, timeout=self._seconds)

    async def execute(self, sql: str, *arguments: object) -> str:
        """Run *sql*; without arguments it may be several statements.

        Return the command tag of the last one, such as `INSERT 0 1`.
        """
        with translated():
            tag: str = await self._connection.execute(sql, *arguments, timeout=self._seconds)
            return tag

    async def copy(self, table: str, columns: Sequence[str], pieces: Iterable[bytes]) -> None:
        """Append *pieces* to *table* with COPY.

        A piece is one or more whole lines, each a JSON array without its brackets. With the
        options of `copy_into` that is CSV, save for most of JSON's escapes. A piece is made while
        the server reads the previous one, and making it may raise RecordRefusedError. The same
        error is raised if the table takes no COPY, as with row level security.
        """
        await copy_into(self._connection, table, columns, pieces, self._seconds)

    async def copy_out(self, query: str, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Give *take* the rows of *query* in COPY's text format, some whole lines at a time.

        The server sends on when *take* returns, which may be late; what it raises is raised here.
        The time limit is for each wait for the server.
        """
        await copy_out_of(self._connection, query, take, self._seconds)


@asynccontextmanager
async def begun(
    connection: PoolConnectionProxy, statement_seconds: float
) -> AsyncIterator[Transaction]:
    """Yield a transaction: committed if the block ends well, rolled back if it raises.

    A connection on which something failed "not now" is given up. It may be the cause: it keeps
    what its server was when it was opened (read-only, or with another search_path).
    """
    try:
        with translated_as_away():
            await connection.execute(_BEGIN)
        yield Transaction(connection, statement_seconds)
    except StoreUnavailableError:
        await _give_up(connection)
        raise
    except BaseException:
        await _roll_back(connection)
        raise
    try:
        with translated():
            await connection.execute(_COMMIT)
    except StoreUnavailableError:
        await _give_up(connection)
        raise
    except BaseException:  # cancelled: the transaction may be open
        await _roll_back(connection)
        raise


async def _give_up(connection: PoolConnectionProxy) -> None:
    """Close *connection*, which rolls back; its termination listeners are told.

    The driver does not tell them if it gives the connection up by itself: for example when it is
    used between the server's last message and the end of the TCP connection.
    """
    with suppress(StoreError), translated():
        # The driver's own limit does not include its wait for a request to cancel.
        async with asyncio.timeout(FAREWELL_SECONDS):
            await connection.close()
    hang_up(connection)


async def _roll_back(connection: PoolConnectionProxy) -> None:
    """Roll back; if that fails, hang up."""
    try:
        # On a lost connection this fails too, and must not hide the first error.
        with translated():
            await connection.execute("ROLLBACK", timeout=FAREWELL_SECONDS)
    except StoreError:
        # The open transaction must not reach the next caller, and its listeners must be told.
        hang_up(connection)
