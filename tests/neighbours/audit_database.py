"""Databases of the fault tests: a server that may be killed, and ways to refuse connections."""

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from audit_log.postgres.database import Database, open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.schema.migrate import ensure_partitions, migrate
from deploy.local.postgres import PostgresServer, running_postgres
from tests.neighbours.arrivals import number_arrivals
from tests.neighbours.memory import directory_in_memory, place_in_memory


@contextmanager
def own_postgres() -> Iterator[PostgresServer]:
    """Run a server for one test, which may stop and kill it. A kill loses no committed row."""
    with directory_in_memory("postgres-") as directory:
        data = directory / "data"
        copy_made_cluster(data)
        with running_postgres(data, durable=False) as server:
            yield server


def copy_made_cluster(data: Path) -> None:
    """Copy the files of a server that has never run to *data*, with their owners."""
    subprocess.run(["cp", "-a", _made_cluster(), data], check=True)


@functools.cache
def _made_cluster() -> Path:
    """Make the files of a server once a test process: a copy takes a quarter of initdb's CPU."""
    directory = tempfile.mkdtemp(prefix="postgres-made-", dir=place_in_memory())
    atexit.register(shutil.rmtree, directory)
    with PostgresServer(Path(directory) / "data", durable=False).prepared():
        return Path(directory) / "data"


async def make_audit_log(database: Database) -> str:
    """Make the schema, number what arrives, and make a token; return its secret."""
    await migrate(database)
    await ensure_partitions(database, datetime.now(UTC))
    return await prepare_audit_log(database)


async def prepare_audit_log(database: Database) -> str:
    """In a database with the schema number what arrives, and make a token; return its secret."""
    await number_arrivals(database)
    _, secret = await TokenTable(database).create("laptop", "operator", 90)
    return secret


@asynccontextmanager
async def nobody_let_in(server: PostgresServer, url: str) -> AsyncIterator[None]:
    """Have the server refuse connections to the database at *url*, and end those that are open."""
    name = url.rpartition("/")[2]
    async with open_database(server.url(), application="operator") as operator:
        await operator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
        )
        try:
            yield
        finally:
            await operator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
