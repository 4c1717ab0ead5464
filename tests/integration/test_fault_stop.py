"""Stopping under load: what is under way ends well, and nothing of it is lost."""

import asyncio
from time import monotonic

import pytest

from tests.neighbours.arrivals import entries_in
from tests.neighbours.audit_database import nobody_let_in
from tests.neighbours.callers import received
from tests.neighbours.hop import hop_to
from tests.neighbours.journal_home import journal_home
from tests.neighbours.ops import records
from tests.neighbours.patience import eventually
from tests.neighbours.services import STOP_SECONDS

CLIENTS = 8
CALLS = 300
STOP = 2.0
GOODBYES = 3.0


@pytest.fixture
def second_home():
    with journal_home() as home:
        yield home


async def under_way(upstream, calls):
    """Wait until the upstream has received so many calls in all."""

    async def has_received():
        return len(upstream.calls) >= calls

    assert await eventually(has_received)


async def stopped_under_load(sidecar, callers, upstream):
    """Load the sidecar, ask it to stop in the midst of that, and return how long it took."""
    load = [asyncio.create_task(callers.keep_on(sidecar.port)) for _ in range(CLIENTS)]
    await under_way(upstream, len(upstream.calls) + CALLS)
    began = monotonic()
    assert await sidecar.stop() == 0
    took = monotonic() - began
    await asyncio.gather(*load)
    assert sidecar.noise == [], sidecar.report()
    return took


def each_call_has_a_response_and_a_true_entry(callers, upstream, entries):
    paths = [entry.path for entry in entries]
    assert sorted(paths) == sorted(received(upstream))
    assert set(paths) == set(callers.responses)
    assert [entry for entry in entries if not entry.tells_the_truth] == []
    assert {entry.token_name for entry in entries} == {"laptop"}


async def test_with_the_database_there_everything_is_written_at_the_end(
    home, upstream, callers, database, database_url, store
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await stopped_under_load(sidecar, callers, upstream)

    each_call_has_a_response_and_a_true_entry(callers, upstream, await entries_in(database))
    assert await store.gaps() == []
    assert list(home.ring.iterdir()) == []


async def test_with_the_database_away_the_next_start_writes_the_rest(
    home, upstream, callers, database, database_url, store, postgres
):
    async with (
        home.sidecar(upstream.url, database_url, PROXY_STOP_SECONDS=str(STOP)) as sidecar,
        nobody_let_in(postgres, database_url),
    ):
        assert await stopped_under_load(sidecar, callers, upstream) < 2 * STOP
    # Nothing is left in memory: the machine may be switched off.
    assert list(home.ring.iterdir()) == []

    async with home.sidecar(upstream.url, database_url):
        pass
    each_call_has_a_response_and_a_true_entry(callers, upstream, await entries_in(database))
    assert await store.gaps() == []


async def test_a_database_behind_a_network_that_swallows_everything_does_not_delay_the_end(
    home, upstream, callers, database, database_url, store
):
    async with (
        hop_to(database_url) as hop,
        home.sidecar(upstream.url, hop.url, PROXY_STOP_SECONDS=str(STOP)) as sidecar,
    ):
        await callers.make(sidecar.port, 10)
        hop.black_hole()
        # The calls end at once. The writer waits for its time; the connections say no goodbye.
        assert await stopped_under_load(sidecar, callers, upstream) < 2 * STOP + GOODBYES
        hop.cut()

    async with home.sidecar(upstream.url, database_url):
        pass
    each_call_has_a_response_and_a_true_entry(callers, upstream, await entries_in(database))
    assert await store.gaps() == []


async def test_a_rolling_restart_leaves_no_gap_and_no_duplicate(
    home, second_home, upstream, callers, database, database_url, store
):
    ports, enough = [], asyncio.Event()
    async with home.sidecar(upstream.url, database_url) as old:
        ports.append(old.port)
        load = [
            asyncio.create_task(callers.roam(lambda: ports[-1], enough)) for _ in range(CLIENTS)
        ]
        await under_way(upstream, CALLS)
        async with second_home.sidecar(upstream.url, database_url) as other:
            ports.append(other.port)
            assert await old.stop() == 0
            await under_way(upstream, len(upstream.calls) + CALLS)
            async with home.sidecar(upstream.url, database_url) as new:
                ports.append(new.port)
                assert await other.stop() == 0
                await under_way(upstream, len(upstream.calls) + CALLS)
                enough.set()
                await asyncio.wait_for(asyncio.gather(*load), STOP_SECONDS)
                assert await records(new, "lost") == 0

    each_call_has_a_response_and_a_true_entry(callers, upstream, await entries_in(database))
    assert await store.gaps() == []
    rows = await database.fetch("SELECT DISTINCT instance FROM mcp_audit_log")
    assert {row["instance"] for row in rows} == {home.instance, second_home.instance}
