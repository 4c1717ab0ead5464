"""Plain COPY of the rows that a sidecar has written, into a second database beside it.

Both databases are on one server and hold the same rows, so that their indexes cost the same.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, process_time
from typing import Final

import asyncpg

from benchmarks.process import PROXY_CORE
from benchmarks.records import Passage
from deploy.local.postgres import PostgresServer

_NAME: Final = "plain"
_TABLE: Final = "mcp_audit_log"
_COLUMNS: Final = """
SELECT column_name FROM information_schema.columns
WHERE table_name = $1 AND column_name NOT IN ('appended_in', 'arrived_at')
"""
"""PostgreSQL itself fills the others in."""
_ARRIVED: Final = f"""
SELECT count(*) AS records, min(arrived_at) AS first FROM {_TABLE} WHERE arrived_at > $1
"""  # noqa: S608  ours


class PlainCopy:
    """Copies what has arrived since it did so last."""

    def __init__(self, server: PostgresServer, file: Path) -> None:
        """Copy the database of *server*, by way of *file*; nothing is connected to it yet."""
        self._server, self._file = server, file
        self._since = datetime.fromtimestamp(0, UTC)
        asyncio.run(_made(server.url()))

    def arrived(self, since: datetime, cpu_seconds: float) -> Passage:
        """Return how fast rows arrived from *since* until now; it took *cpu_seconds*."""
        now = datetime.now(UTC)
        records, first = asyncio.run(_arrived(self._server.url(), since))
        return Passage(records, (now - first).total_seconds(), cpu_seconds)

    def copied(self) -> Passage:
        """Copy what arrived since the last copy, on the proxy's core; return how fast."""
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {PROXY_CORE})
        try:
            return asyncio.run(self._copied())
        finally:
            os.sched_setaffinity(0, cores)

    async def _copied(self) -> Passage:
        async with _connected(self._server.url()) as connection:
            columns = [row["column_name"] for row in await connection.fetch(_COLUMNS, _TABLE)]
            query = f"SELECT {', '.join(columns)} FROM {_TABLE} WHERE arrived_at > $1"  # noqa: S608  ours
            said = await connection.copy_from_query(query, self._since, output=self._file)
            self._since = await connection.fetchval(f"SELECT max(arrived_at) FROM {_TABLE}")  # noqa: S608  ours
        async with _connected(self._server.url(_NAME)) as connection:
            began, cpu = monotonic(), process_time()
            await connection.copy_to_table(_TABLE, source=self._file, columns=columns)
            return Passage(int(said.split()[1]), monotonic() - began, process_time() - cpu)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _made(url: str) -> None:
    async with _connected(url) as connection:
        await connection.execute(f"CREATE DATABASE {_NAME} TEMPLATE postgres")


async def _arrived(url: str, since: datetime) -> tuple[int, datetime]:
    async with _connected(url) as connection:
        row = await connection.fetchrow(_ARRIVED, since)
        assert row is not None
        return row["records"], row["first"]
