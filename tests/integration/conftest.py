"""What several files of fault tests share."""

from collections.abc import Iterator

import pytest

from audit_log.postgres.database import Database
from deploy.local.postgres import PostgresServer
from tests.neighbours.audit_database import own_postgres, prepare_audit_log
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.journal_home import JournalHome, journal_home
from tests.neighbours.replica import replica_of
from tests.neighbours.upstream import Upstream


@pytest.fixture
def home() -> Iterator[JournalHome]:
    """The directories of one journal, for several runs of a sidecar."""
    with journal_home() as home:
        yield home


@pytest.fixture
async def callers(
    request: pytest.FixtureRequest, database: Database, upstream: Upstream
) -> Callers:
    """Clients with a token of `database`, whose calls `upstream` answers by their path.

    Each path is longer by the module's `PADDING`, if it has one.
    """
    upstream.plan(responding_by_path)
    padding = getattr(request.module, "PADDING", 0)
    return Callers(await prepare_audit_log(database), padding=padding)


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    """A server that nothing else uses."""
    with own_postgres() as server:
        yield server


@pytest.fixture
def standby(primary: PostgresServer) -> Iterator[PostgresServer]:
    """A streaming replica of `primary`."""
    with replica_of(primary) as server:
        yield server
