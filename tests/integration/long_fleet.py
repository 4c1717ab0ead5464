"""Fifty sidecars, each a process, and one PostgreSQL. Collected by name alone: a minute's work."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from yarl import URL

from audit_log.postgres.database import Database, open_database
from deploy.local.postgres import PostgresServer, running_postgres
from tests.neighbours.audit_database import make_audit_log
from tests.neighbours.callers import Callers, received, responding_by_path
from tests.neighbours.patience import eventually
from tests.neighbours.services import running_sidecar
from tests.neighbours.upstream import Upstream

SIDECARS: Final = [f"sidecar_{number}" for number in range(50)]
CONNECTIONS_EACH: Final = 2
STARTED_AT_ONCE: Final = 4
CALLS_EACH: Final = 200


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with (
        tempfile.TemporaryDirectory(prefix="postgres-") as name,
        running_postgres(
            Path(name) / "data", durable=False, settings={"max_connections": "200"}
        ) as server,
    ):
        yield server


@asynccontextmanager
async def connections_watched(database: Database) -> AsyncIterator[Counter[str]]:
    """Yield the most connections that each role was seen to have during the block."""
    most: Counter[str] = Counter()

    is_over = asyncio.Event()

    async def watch() -> None:
        while not is_over.is_set():
            rows = await database.fetch(
                "SELECT usename, count(*) FROM pg_stat_activity"
                " WHERE usename LIKE 'sidecar%' GROUP BY 1"
            )
            for row in rows:
                most[row["usename"]] = max(most[row["usename"]], row["count"])
            await asyncio.sleep(0.1)

    observing = asyncio.create_task(watch())
    try:
        yield most
    finally:
        is_over.set()
        await observing


@pytest.mark.timeout(600)
async def test_fifty_sidecars_write_each_call_once_over_two_connections_each(
    server: PostgresServer, upstream: Upstream
):
    upstream.plan(responding_by_path)
    async with (
        open_database(server.url(), application="test") as database,
        AsyncExitStack() as stack,
    ):
        secret = await make_audit_log(database)
        fleet = [Callers(secret, padding=number) for number, _ in enumerate(SIDECARS)]
        most = await stack.enter_async_context(connections_watched(database))
        at_once = asyncio.Semaphore(STARTED_AT_ONCE)

        async def start(name: str) -> int:
            # A role of its own, by which the server tells whose a connection is.
            await database.execute(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD 'secret'")
            url = str(URL(server.url()).with_user(name).with_password("secret"))
            async with at_once:
                sidecar = running_sidecar(upstream.url, url, PROXY_INSTANCE=name)
                return (await stack.enter_async_context(sidecar)).port

        ports = await asyncio.gather(*map(start, SIDECARS))
        await asyncio.gather(
            *(callers.make(port, CALLS_EACH) for callers, port in zip(fleet, ports, strict=True))
        )

        async def all_there() -> bool:
            rows = await database.fetch("SELECT count(*) FROM mcp_audit_log")
            return bool(rows[0]["count"] >= len(SIDECARS) * CALLS_EACH)

        assert await eventually(all_there)
        rows = await database.fetch("SELECT path, instance FROM mcp_audit_log")
        gaps = await database.fetch("SELECT FROM mcp_audit_gap")
    # What the upstream itself saw is the truth.
    assert Counter(row["path"] for row in rows) == Counter(received(upstream))
    assert Counter(row["instance"] for row in rows) == dict.fromkeys(SIDECARS, CALLS_EACH)
    assert gaps == []
    assert max(most.values()) <= CONNECTIONS_EACH, most
