"""Files that are removed under a running sidecar: no record is lost, however it ends."""

import pytest

from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import nobody_let_in
from tests.neighbours.journal_files import empty, remove
from tests.neighbours.ops import metric
from tests.neighbours.patience import eventually

CALLS = 40


async def all_moved(sidecar):
    async def has_moved():
        return await metric(sidecar, "journal_ring_bytes") == 0

    await eventually(has_moved, sidecar.report)


def the_segments(home):
    for path in home.journal.glob("*.ndjson"):
        path.unlink()


def the_folder(home):
    remove(home.journal)


def the_ring(home):
    empty(home.ring)


@pytest.mark.parametrize("remove", [the_segments, the_folder, the_ring])
async def test_after_a_stop_the_next_start_writes_everything(
    home, upstream, callers, database, database_url, store, remove
):
    async with home.sidecar(upstream.url) as sidecar:
        await callers.make(sidecar.port, CALLS)
        await all_moved(sidecar)
        remove(home)
    async with home.sidecar(upstream.url, database_url):
        entries = await arrived(database, CALLS)
    assert [entry.path for entry in entries] == callers.sent
    assert await store.gaps() == []


@pytest.mark.parametrize("remove", [the_segments, the_folder])
async def test_after_a_kill_the_next_start_writes_everything(
    home, upstream, callers, database, database_url, store, remove
):
    async with home.sidecar(upstream.url) as sidecar:
        await callers.make(sidecar.port, CALLS)
        await all_moved(sidecar)
        remove(home)
        await sidecar.kill()
    async with home.sidecar(upstream.url, database_url):
        entries = await arrived(database, CALLS)
    assert [entry.path for entry in entries] == callers.sent
    assert await store.gaps() == []


async def test_when_the_database_is_back_the_writer_goes_on(
    home, upstream, callers, database, database_url, store, postgres
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        async with nobody_let_in(postgres, database_url):
            await callers.make(sidecar.port, CALLS)
            await all_moved(sidecar)
            the_segments(home)
            await callers.make(sidecar.port, CALLS)
        entries = await arrived(database, 2 * CALLS)
    assert [entry.path for entry in entries] == callers.sent
    assert await store.gaps() == []
