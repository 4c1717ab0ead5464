"""The door to PostgreSQL: the only module that makes connections, and where errors are sorted.

Safe behind a connection pooler that hands out a server connection per transaction (pgbouncer):
no named prepared statements, every statement within a transaction, no session state. Only
notifications do not pass such a pooler, and nobody depends on them alone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from audit_log.errors import (
    DeadlockError,
    RecordRefusedError,
    StatementRefusedError,
    StoreError,
    StoreUnavailableError,
)

CONNECT_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 30.0
FAREWELL_SECONDS: Final = 1.0
"""How long a server may take over the end of a transaction or connection nobody needs any more."""
SILENCE_SECONDS: Final = 60.0
"""How long a listening connection may be silent before it is asked whether it still lives."""

# SQLSTATE classes of PostgreSQL's appendix A that blame the data: data exception, integrity
# constraint violation, WITH CHECK OPTION violation, program limit exceeded.
_REFUSING_CLASSES: Final = ("22", "23", "44", "54")
_CHECK_VIOLATION: Final = "23514"
_RAISE_EXCEPTION: Final = "P0001"  # a trigger of the operator's that will not have the record
# Undefined table, column, function: this code is newer than the schema.
_UNDEFINED: Final = ("42P01", "42703", "42883")
_MISUNDERSTOOD_CLASS: Final = "42"  # syntax error or access rule violation
_FEATURE_NOT_SUPPORTED: Final = "0A000"
_NO_RIGHT: Final = "42501"
_DEADLOCK: Final = "40P01"
_MAX_MESSAGE_CHARACTERS: Final = 300

Row = asyncpg.Record


def judged(error: Exception) -> StoreError:
    """Return what *error* of the driver means: try again ("not now"), or do not ("never").

    "Never" is said only where the values are to blame. A record wrongly refused is set aside,
    a record wrongly retried blocks all that come after it.
    """
    if isinstance(error, asyncpg.PostgresError):
        refused = _blames_the_data(error.sqlstate or "", error.constraint_name)
    else:
        # How asyncpg says that it cannot encode a parameter. A bad URL is a ValueError as well.
        refused = (
            isinstance(error, asyncpg.InterfaceError)
            and isinstance(error, ValueError)
            and not isinstance(error, asyncpg.ClientConfigurationError)
        )
    unavailable = _unavailable(getattr(error, "sqlstate", None) or "")
    kind = RecordRefusedError if refused else unavailable
    # Not all that the driver would print: a DETAIL quotes the row, which is nobody's business.
    said = error.message if isinstance(error, asyncpg.PostgresError) else None
    text = " ".join((said or str(error)).split()) or type(error).__name__
    text = text[:_MAX_MESSAGE_CHARACTERS]
    if getattr(error, "sqlstate", None) in _UNDEFINED and " mcp_" in text.replace('"', " "):
        text += " (the schema is missing or out of date: run `python -m audit_log migrate`)"
    return kind(text)


def _blames_the_data(sqlstate: str, constraint: str | None) -> bool:
    if sqlstate == _CHECK_VIOLATION:
        # Without a constraint's name it means that no partition takes the row, or that the one
        # for it was made this moment: ours to mend.
        return constraint is not None
    return sqlstate.startswith(_REFUSING_CLASSES) or sqlstate == _RAISE_EXCEPTION


def _unavailable(sqlstate: str) -> type[StoreUnavailableError]:
    is_misunderstood = sqlstate.startswith(_MISUNDERSTOOD_CLASS)
    if is_misunderstood or sqlstate == _FEATURE_NOT_SUPPORTED:
        return StatementRefusedError
    return DeadlockError if sqlstate == _DEADLOCK else StoreUnavailableError


def _blames_the_copy(sqlstate: str) -> bool:
    """Say whether an INSERT may go where a COPY does not, such as into a view."""
    if sqlstate == _FEATURE_NOT_SUPPORTED:
        return True
    return sqlstate.startswith(_MISUNDERSTOOD_CLASS) and sqlstate not in (_NO_RIGHT, *_UNDEFINED)


@contextmanager
def _translated() -> Iterator[None]:
    """Speak of store errors, whatever the driver calls them."""
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        UnicodeError,  # a host name that cannot be one
    ) as error:
        raise judged(error) from error


class Transaction:
    """Statements that happen together or not at all."""

    def __init__(self, connection: PoolConnectionProxy, statement_seconds: float) -> None:
        self._connection = connection
        self._seconds = statement_seconds

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """Return the rows that *sql* answers."""
        with _translated():
            return await self._connection.fetch(sql, *arguments, timeout=self._seconds)

    async def fetch_row(self, sql: str, *arguments: object) -> Row | None:
        """Return the first row that *sql* answers, or None."""
        with _translated():
            return await self._connection.fetchrow(sql, *arguments, timeout=self._seconds)

    async def fetch_for_each(self, sql: str, arguments: Iterable[Sequence[object]]) -> list[Row]:
        """Return the rows that *sql* answers to each of *arguments* in turn, in one round trip."""
        with _translated():
            return await self._connection.fetchmany(sql, arguments, timeout=self._seconds)

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run *sql*; without arguments it may be several statements."""
        with _translated():
            await self._connection.execute(sql, *arguments, timeout=self._seconds)

    async def copy(self, table: str, columns: Sequence[str], pieces: Iterable[bytes]) -> None:
        """Append *pieces*, which are whole lines as JSON writes arrays, without the brackets.

        With the options below that is CSV, save for most of JSON's escapes.
        A piece is made while the server reads the one before it, and may raise RecordRefusedError.
        A table that takes no COPY, such as one with row level security, refuses them all.
        """
        refusals: list[RecordRefusedError] = []

        async def one_by_one() -> AsyncIterator[bytes]:
            try:
                for piece in pieces:
                    yield piece
                    # The driver waits only where the server is slow; others have work to do.
                    await asyncio.sleep(0)
            except RecordRefusedError as error:
                # Kept from the driver, which would ask on a new connection to cancel the COPY.
                refusals.append(error)

        with _translated():
            try:
                async with self._in_reach():
                    await self._connection.copy_to_table(
                        table,
                        source=one_by_one(),
                        columns=columns,
                        format="csv",
                        quote='"',
                        escape="\\",
                        null="null",
                        timeout=self._seconds,
                    )
            except asyncpg.PostgresError as error:
                if not _blames_the_copy(error.sqlstate or ""):
                    raise
                raise RecordRefusedError(f"{table} takes no COPY") from error
        if refusals:
            raise refusals[0]

    @asynccontextmanager
    async def _in_reach(self) -> AsyncIterator[None]:
        """End the block with an OSError when its time is up or the connection is lost.

        For a COPY alone: the driver waits without a limit until there is room for the next piece,
        and there never is where the server has gone, or no longer reads.
        """
        is_lost = False
        limit = asyncio.timeout(self._seconds)

        def give_up(_connection: object) -> None:
            nonlocal is_lost
            is_lost = True
            with suppress(RuntimeError):  # the block has ended at the same moment
                limit.reschedule(0)

        try:
            async with limit:
                self._connection.add_termination_listener(give_up)
                try:
                    yield
                finally:
                    with suppress(asyncpg.InterfaceError):  # it is gone already
                        self._connection.remove_termination_listener(give_up)
        except TimeoutError:
            if is_lost:
                raise ConnectionResetError("the connection was lost") from None
            raise
        except RuntimeError as error:  # uvloop's word for a write to what has been closed
            raise ConnectionResetError("the connection was lost") from error


class Database:
    """A PostgreSQL database that may be away. Connects when first used, and again when lost.

    Every method raises `StoreUnavailableError` (not now) or `RecordRefusedError` (never), within
    a bounded time.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._only: PoolConnectionProxy | None = None
        """The pool's only connection while it listens; transactions then take turns on it."""
        self._turn = asyncio.Lock()

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """Return the rows that *sql* answers."""
        async with self.transaction() as transaction:
            return await transaction.fetch(sql, *arguments)

    async def fetch_row(self, sql: str, *arguments: object) -> Row | None:
        """Return the first row that *sql* answers, or None."""
        async with self.transaction() as transaction:
            return await transaction.fetch_row(sql, *arguments)

    async def fetch_for_each(self, sql: str, arguments: Iterable[Sequence[object]]) -> list[Row]:
        """Return the rows that *sql* answers to each of *arguments* in turn, in one round trip."""
        async with self.transaction() as transaction:
            return await transaction.fetch_for_each(sql, arguments)

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run *sql*."""
        async with self.transaction() as transaction:
            await transaction.execute(sql, *arguments)

    @asynccontextmanager
    async def transaction(
        self, *, statement_seconds: float = STATEMENT_SECONDS
    ) -> AsyncIterator[Transaction]:
        """Yield a transaction: committed if the block ends well, rolled back if it does not."""
        async with self._connection() as connection:
            await _begin_or_commit(connection, "BEGIN")
            try:
                yield Transaction(connection, statement_seconds)
            except BaseException:
                await _roll_back(connection)
                raise
            await _begin_or_commit(connection, "COMMIT")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PoolConnectionProxy]:
        if self._pool.get_max_size() > 1:
            async with self._taken() as connection:
                yield connection
            return
        # Whoever waits here for a connection that begins to listen is then given that one.
        async with self._its_turn():
            if self._only is not None:
                yield self._only
                return
            async with self._taken() as connection:
                yield connection

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[PoolConnectionProxy]:
        with _translated():
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
        try:
            yield connection
        finally:
            # What cannot be given back in order is hung up by the pool.
            with suppress(StoreError), _translated():
                await self._pool.release(connection, timeout=FAREWELL_SECONDS)

    @asynccontextmanager
    async def _its_turn(self) -> AsyncIterator[None]:
        with _translated():
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    @asynccontextmanager
    async def notifications(self, channel: str) -> AsyncIterator[AsyncIterator[str]]:
        """Listen on *channel*, on one of the connections; yield the payloads as they come.

        Where that is the only connection, it goes on serving transactions. The iterator raises
        `StoreUnavailableError` when it is lost: what was announced in the meantime is unknown.
        """
        heard: asyncio.Queue[str | None] = asyncio.Queue()
        async with AsyncExitStack() as stack:
            async with self._its_turn():
                connection = await stack.enter_async_context(self._taken())
                stack.callback(self._stop_listening, connection)
                connection.add_termination_listener(lambda *_: heard.put_nowait(None))
                with _translated():
                    await connection.add_listener(channel, lambda *said: heard.put_nowait(said[3]))
                if self._pool.get_max_size() == 1:
                    self._only = connection
            yield self._payloads(connection, heard)

    def _stop_listening(self, connection: PoolConnectionProxy) -> None:
        self._only = None
        _hang_up(connection)

    async def _payloads(
        self, connection: PoolConnectionProxy, heard: asyncio.Queue[str | None]
    ) -> AsyncIterator[str]:
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    payload = await heard.get()
            except TimeoutError:
                async with self._its_turn():
                    with _translated():
                        await connection.execute("SELECT 1")
                continue
            if payload is None:
                raise StoreUnavailableError("the listening connection was lost")
            yield payload


async def _begin_or_commit(connection: PoolConnectionProxy, sql: str) -> None:
    """Begin or commit a transaction; hang up where that fails, so that listeners know.

    The driver does not tell them where it gives a connection up by itself: as when it is used
    after the server's last words and before its end.
    """
    try:
        with _translated():
            await connection.execute(sql)
    except StoreUnavailableError:
        _hang_up(connection)
        raise


async def _roll_back(connection: PoolConnectionProxy) -> None:
    """End the transaction; hang up where that cannot be done."""
    try:
        # On a lost connection this fails too, and must not hide what went wrong first.
        with _translated():
            await connection.execute("ROLLBACK", timeout=FAREWELL_SECONDS)
    except StoreError:
        # Nobody may be given what is left of it, and who listens on it must know.
        _hang_up(connection)


def _hang_up(connection: PoolConnectionProxy) -> None:
    with suppress(asyncpg.InterfaceError):  # it is gone already
        connection.terminate()


@asynccontextmanager
async def open_database(
    url: str, *, connections: int = 2, application: str
) -> AsyncIterator[Database]:
    """Yield the database at *url*, whether or not it can be reached. At most *connections*."""
    pool = asyncpg.create_pool(
        url,
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
            yield Database(pool)
        finally:
            # It hangs up by itself when it cannot say goodbye in time.
            with suppress(StoreError), _translated():
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await pool.close()


async def _nothing_to_reset(_connection: asyncpg.Connection) -> None:
    """Save the round trip that would clear a session's state: no session has any."""
