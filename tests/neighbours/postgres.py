"""A real PostgreSQL, one per test process, and a fresh database per test."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import pytest

from audit_log.postgres.database import Database, open_database
from audit_log.schema.migrate import ensure_partitions, migrate
from deploy.local.postgres import PostgresServer, running_postgres
from tests.neighbours.memory import directory_in_memory
from tests.neighbours.readable_store import ReadableStore

TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with (
        directory_in_memory("postgres-") as directory,
        running_postgres(directory / "data", durable=False) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    # A loop of its own: this fixture outlives the loop of the test that asks first.
    asyncio.run(make_template(postgres))
    return TEMPLATE


@pytest.fixture
async def database_url(postgres: PostgresServer, migrated_template: str) -> AsyncIterator[str]:
    async with fresh_database(postgres, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres: PostgresServer, migrated_template: str) -> Iterator[str]:
    """One copy for all tests of a module that only read, or that no other test's rows disturb."""
    name = _copy_name()
    asyncio.run(_administer(postgres, _copy(name, migrated_template)))
    yield postgres.url(name)
    asyncio.run(_administer(postgres, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def empty_database_url(postgres: PostgresServer) -> AsyncIterator[str]:
    async with fresh_database(postgres, template="template0") as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url, application="test") as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> ReadableStore:
    return ReadableStore(database)


async def make_template(server: PostgresServer) -> None:
    """Make the database that `fresh_database` can copy as TEMPLATE: migrated, with its months."""
    await _administer(server, f"CREATE DATABASE {TEMPLATE}")
    async with open_database(server.url(TEMPLATE), application="template") as database:
        await migrate(database)
        await ensure_partitions(database, datetime.now(UTC))


@asynccontextmanager
async def fresh_database(server: PostgresServer, *, template: str) -> AsyncIterator[str]:
    """Yield the URL of a copy of *template*; drop it afterwards, with clients connected or not."""
    name = _copy_name()
    await _administer(server, _copy(name, template))
    try:
        yield server.url(name)
    finally:
        await _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def _copy_name() -> str:
    return f"test_{uuid.uuid4().hex}"


def _copy(name: str, template: str) -> str:
    # As files: page by page through the log, as by default, takes three times the CPU.
    return f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"


async def _administer(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
