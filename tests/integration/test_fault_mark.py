"""A journal folder that cannot be written to at a start: a kill afterwards loses nothing.

The ring says by itself which folder it continues. What the folder says of it may come late, or
never.
"""

from contextlib import asynccontextmanager

import pytest

from tests.neighbours.arrivals import arrived
from tests.neighbours.journal_home import journal_home
from tests.neighbours.ops import degraded, metric
from tests.neighbours.patience import eventually
from tests.neighbours.services import running

CALLS = 100
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/no"


@pytest.fixture
def home():
    with journal_home() as home:
        home.journal.mkdir()
        yield home


@asynccontextmanager
async def bound_sidecar(home, upstream, database_url=NO_DATABASE):
    """Run a sidecar that file permissions bind, also where tests run as root."""
    environment = {
        "AUDIT_LOG_DATABASE_URL": database_url,
        "PROXY_UPSTREAM_URL": upstream.url,
        "PROXY_PORT": "0",
        "PROXY_OPS_PORT": "0",
        **home.environment,
    }
    async with running("tests.neighbours.bound_proxy", environment) as sidecar:
        yield sidecar


async def never_used(_home, _upstream):
    """Leave the folder as it was made."""


async def stopped_before(home, upstream):
    """Leave the folder as a clean stop does."""
    async with bound_sidecar(home, upstream):
        pass


async def killed_before(home, upstream):
    """Leave the folder as a kill does after which the ring was lost, and found no disk again."""
    async with bound_sidecar(home, upstream) as sidecar:
        await sidecar.kill()
    for path in home.ring.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("past", "gaps"), [(never_used, []), (stopped_before, []), (killed_before, ["head_lost"])]
)
async def test_a_mark_that_was_never_written_loses_nothing_at_a_kill(
    home, upstream, callers, database, database_url, store, past, gaps
):
    await past(home, upstream)
    home.journal.chmod(0o500)
    for _ in range(2):
        async with bound_sidecar(home, upstream) as sidecar:
            await callers.make(sidecar.port, CALLS)
            await degraded(sidecar, "journal disk fails")
            await sidecar.kill()
    home.journal.chmod(0o700)

    async with bound_sidecar(home, upstream, database_url):
        entries = await arrived(database, 2 * CALLS)

    assert [entry.path for entry in entries] == callers.sent
    assert [gap.reason for gap in await store.gaps()] == gaps


async def test_a_mark_that_could_not_be_written_is_written_as_soon_as_it_can_be(
    home, upstream, callers, database, database_url, store
):
    await stopped_before(home, upstream)
    home.journal.chmod(0o500)
    async with bound_sidecar(home, upstream) as sidecar:
        await callers.make(sidecar.port, CALLS)
        assert not (home.journal / "running").exists()
        home.journal.chmod(0o700)

        async def has_moved():
            return await metric(sidecar, "journal_ring_bytes") == 0

        await eventually(has_moved, sidecar.report)
        assert (home.journal / "running").exists()
        await sidecar.kill()
    for path in home.ring.iterdir():
        path.unlink()

    async with bound_sidecar(home, upstream, database_url):
        entries = await arrived(database, CALLS)

    assert [entry.path for entry in entries] == callers.sent
    # The mark told that a ring was lost.
    assert [gap.reason for gap in await store.gaps()] == ["head_lost"]


async def test_a_sidecar_starts_without_any_room_for_its_ring(
    home, upstream, callers, database, database_url, store
):
    home.journal.chmod(0o500)
    home.ring.chmod(0o500)
    async with bound_sidecar(home, upstream, database_url) as sidecar:
        await callers.make(sidecar.port, CALLS)
        entries = await arrived(database, CALLS)
        assert await sidecar.logged("journal.ring_degraded")
        home.journal.chmod(0o700)
        await degraded(sidecar, "the journal's ring has no file")
    home.ring.chmod(0o700)

    assert [entry.path for entry in entries] == callers.sent
    assert await store.gaps() == []
