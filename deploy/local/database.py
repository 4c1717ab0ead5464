"""The audit log's database for `make run`: embedded, and ready for use."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from audit_log.errors import StoreError
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.schema.migrate import ensure_partitions, migrate
from deploy.local.demo_tokens import DemoToken, demo_tokens
from deploy.local.errors import CannotRunError
from deploy.local.postgres import running_postgres
from deploy.local.postgres_home import PostgresServerError


@contextmanager
def embedded_database(directory: Path) -> Iterator[str]:
    """Run PostgreSQL with its files in *directory*; yield the URL of its database."""
    try:
        with running_postgres(directory) as server:
            yield server.url()
    except PostgresServerError as error:
        raise CannotRunError(str(error)) from None


async def prepare(url: str) -> None:
    """Bring the schema up to date."""
    async with _opened(url) as database:
        await migrate(database)
        await ensure_partitions(database, datetime.now(UTC))


async def remembered_tokens(url: str, memory: Path) -> dict[str, DemoToken]:
    """Return the demo tokens that *memory* remembers, all of them good."""
    async with _opened(url) as database:
        return await demo_tokens(TokenTable(database), memory)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    try:
        async with open_database(url, application="podwarden-local") as database:
            yield database
    except StoreError as error:
        raise CannotRunError(f"the database of the audit log: {error}") from None
