"""COPY with a time limit. The driver has none while it waits for room in the send buffer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from audit_log.errors import RecordRefusedError, StoreError
from audit_log.postgres.driver_errors import blames_the_copy, translated

_LONGEST_SECONDS: Final = 365 * 86_400.0
"""For all of a COPY whose every wait has a limit of its own; the driver has one for the whole."""


async def copy_into(
    connection: PoolConnectionProxy,
    table: str,
    columns: Sequence[str],
    pieces: Iterable[bytes],
    seconds: float,
) -> None:
    """Append *pieces* to *table* within *seconds*; see `Transaction.copy`."""
    refusals: list[RecordRefusedError] = []

    async def one_by_one() -> AsyncIterator[bytes]:
        try:
            for piece in pieces:
                yield piece
                # The driver yields to the loop only if the server is slow; other tasks have work.
                await asyncio.sleep(0)
        except RecordRefusedError as error:
            # Hidden from the driver, which would open a new connection to cancel the COPY.
            refusals.append(error)

    with translated():
        try:
            async with _time_limit(connection, seconds):
                await connection.copy_to_table(
                    table,
                    source=one_by_one(),
                    columns=columns,
                    format="csv",
                    quote='"',
                    escape="\\",
                    null="null",
                    timeout=seconds,
                )
        except asyncpg.PostgresError as error:
            if not blames_the_copy(error):
                raise
            raise RecordRefusedError(f"{table} takes no COPY") from error
    if refusals:
        raise refusals[0]


async def copy_out_of(
    connection: PoolConnectionProxy,
    query: str,
    take: Callable[[bytes], Awaitable[None]],
    seconds: float,
) -> None:
    """Run *query* and hand on its rows; see `Transaction.copy_out`."""
    failures: list[Exception] = []
    patience = asyncio.timeout(seconds)

    async def hand_on(rows: bytes | bytearray) -> None:
        patience.reschedule(None)
        try:
            await take(bytes(rows))  # the driver does not say that it gives a bytearray
        except Exception as error:
            failures.append(error)
            raise
        patience.reschedule(asyncio.get_running_loop().time() + seconds)

    try:
        with translated():
            async with patience:
                await connection.copy_from_query(query, output=hand_on, timeout=_LONGEST_SECONDS)
    except StoreError:
        if failures:
            raise failures[0] from None
        raise


@asynccontextmanager
async def _time_limit(connection: PoolConnectionProxy, seconds: float) -> AsyncIterator[None]:
    """End the block with an OSError when *seconds* are over or the connection is lost.

    Needed for COPY only: the driver waits without a limit for room to send the next piece, and
    there is never room if the server is gone or has stopped reading.
    """
    is_lost = False
    limit = asyncio.timeout(seconds)

    def give_up(_connection: object) -> None:
        nonlocal is_lost
        is_lost = True
        with suppress(RuntimeError):  # the block has ended at the same moment
            limit.reschedule(0)

    try:
        async with limit:
            connection.add_termination_listener(give_up)
            try:
                yield
            finally:
                with suppress(asyncpg.InterfaceError):  # the connection is closed already
                    connection.remove_termination_listener(give_up)
    except TimeoutError:
        if is_lost:
            raise ConnectionResetError("the connection was lost") from None
        raise
    except RuntimeError as error:  # raised by uvloop on a write to a closed transport
        raise ConnectionResetError("the connection was lost") from error
