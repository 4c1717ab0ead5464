"""The recorder is killed, stopped, or left alone: calls do not notice, and nothing is lost."""

import asyncio
import os
import signal
from functools import partial

import pytest

from tests.neighbours.arrivals import arrived, entries_in
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, received, responding_by_path
from tests.neighbours.hop import hop_to
from tests.neighbours.journal_files import empty, remove
from tests.neighbours.ops import death, degraded, metric, metric_becomes, recovered
from tests.neighbours.patience import eventually
from tests.neighbours.processes import children_of, is_alive, keeper_of, recorder_of, stopped

KILLS = 4
RING_BYTES = 1024 * 1024
SMALL_RING = {"PROXY_JOURNAL_RING_BYTES": str(RING_BYTES)}
PADDING = 2_000
PARTS = 8
TWO_RINGS = 2 * RING_BYTES // PADDING // PARTS * PARTS


@pytest.fixture
async def secret(database):
    return await prepare_audit_log(database)


async def test_a_recorder_that_is_killed_again_and_again_loses_nothing(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers, enough = Callers(secret), asyncio.Event()
    async with home.sidecar(upstream.url, database_url) as sidecar:
        load = [asyncio.create_task(callers.roam(lambda: sidecar.port, enough)) for _ in range(4)]
        recorder = 0
        for _ in range(KILLS):
            recorder = await recorder_of(sidecar, besides=recorder)
            written = len(callers.responses)
            await eventually(partial(later, callers, written + 20))
            os.kill(recorder, signal.SIGKILL)
        enough.set()
        await asyncio.gather(*load)
        entries = await arrived(database, len(callers.sent))

    assert sorted(entry.path for entry in entries) == sorted(received(upstream))
    assert all(entry.tells_the_truth for entry in entries)


async def test_a_recorder_that_is_killed_in_an_outage_leaves_its_segments_to_the_next_one(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret, padding=PADDING)
    async with (
        hop_to(database_url, is_open=False) as hop,
        home.sidecar(upstream.url, hop.url, **SMALL_RING) as sidecar,
    ):
        await turn_over_twice(callers, sidecar)
        os.kill(await recorder_of(sidecar), signal.SIGKILL)
        await sidecar.logged("recorder.ended_early")
        await hop.open()
        entries = await arrived(database, TWO_RINGS)
        assert await metric(sidecar, "journal_disk_bytes") > 2 * RING_BYTES

    assert [entry.path for entry in entries] == callers.sent
    assert await database.fetch("SELECT FROM mcp_audit_gap") == []
    assert not [line for line in sidecar.log if line["event"] == "journal.segments_removed"]


async def test_a_recorder_that_is_killed_after_the_ring_was_removed_goes_on_where_it_was(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret, padding=PADDING)
    async with home.sidecar(upstream.url, database_url, **SMALL_RING) as sidecar:
        empty(home.ring)
        await sidecar.logged("journal.file_renewed")
        await turn_over_twice(callers, sidecar)
        await arrived(database, TWO_RINGS)
        remove(home.journal)
        await sidecar.logged("journal.folder_replaced")
        os.kill(await recorder_of(sidecar), signal.SIGKILL)
        await callers.make(sidecar.port, 20)
        await arrived(database, len(callers.sent))
        assert await metric(sidecar, "records_total", fate="lost") == 0

    assert await database.fetch("SELECT FROM mcp_audit_gap") == []


async def turn_over_twice(callers, sidecar):
    """Make calls that fill the ring twice, in parts: a disk that others use may be slow."""
    for _ in range(PARTS):
        await callers.make(sidecar.port, TWO_RINGS // PARTS)
        await metric_becomes(sidecar, 0, "journal_ring_bytes")


async def later(callers, count):
    return len(callers.responses) >= count


async def test_a_recorder_that_ends_early_is_told(upstream, home, database_url, secret):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        recorder = 0
        for _ in range(2):
            recorder = await recorder_of(sidecar, besides=recorder)
            os.kill(recorder, signal.SIGKILL)
        await recorder_of(sidecar, besides=recorder)
        await degraded(sidecar, "it has ended 2 times in succession, last with exit code -9")
        assert await metric(sidecar, "recorder_restarts_total") == 2


async def test_counters_go_on_after_the_recorder_was_killed(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 10)
        await metric_becomes(sidecar, 10, "records_total", fate="written")
        # What is written and not yet committed is written, and counted, again.
        await metric_becomes(sidecar, 0, "journal_unwritten_bytes")
        former = await recorder_of(sidecar)
        os.kill(former, signal.SIGKILL)
        await recorder_of(sidecar, besides=former)
        await callers.make(sidecar.port, 10)
        await arrived(database, 20)
        await metric_becomes(sidecar, 20, "records_total", fate="written")


async def test_a_recorder_that_starts_while_the_disk_fails_goes_on_from_memory(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 10)
        away = home.journal.rename(home.journal.with_suffix(".away"))
        home.journal.write_text("no folder")
        os.kill(await recorder_of(sidecar), signal.SIGKILL)
        await sidecar.logged("recorder.ended_early")
        await callers.make(sidecar.port, 10)
        assert len(await arrived(database, 20)) == 20
        await degraded(sidecar, "the journal disk fails")

        home.journal.unlink()
        away.rename(home.journal)
        await sidecar.logged("journal.disk_recovered")
        await callers.make(sidecar.port, 10)
    assert len(await entries_in(database)) == 30
    assert await database.fetch("SELECT FROM mcp_audit_gap") == []


async def test_calls_go_on_while_the_recorder_is_stopped_and_are_written_afterwards(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        with stopped(await recorder_of(sidecar)):
            await callers.make(sidecar.port, 200)
            await degraded(sidecar, "the recorder has not answered for")
            assert await metric(sidecar, "records_total", fate="accepted") == 200
            assert await entries_in(database) == []
        assert len(await arrived(database, 200)) == 200
        await recovered(sidecar)


async def test_the_recorder_of_a_killed_proxy_writes_what_is_there_and_ends(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        keeper, recorder = keeper_of(sidecar), await recorder_of(sidecar)
        with stopped(recorder):
            await callers.make(sidecar.port, 50)
            os.kill(sidecar.pid, signal.SIGKILL)
        assert len(await arrived(database, 50)) == 50
        await eventually(lambda: gone(keeper, recorder))
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 1)
        assert len(await arrived(database, 51)) == 51


async def test_a_stopped_recorder_of_a_killed_proxy_does_not_keep_the_next_start_away(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        keeper, recorder = keeper_of(sidecar), await recorder_of(sidecar)
        os.kill(recorder, signal.SIGSTOP)
        await callers.make(sidecar.port, 50)
        os.kill(sidecar.pid, signal.SIGKILL)
        async with home.sidecar(upstream.url, database_url):
            assert await gone(keeper, recorder)
            assert len(await arrived(database, 50)) == 50


async def gone(*pids):
    return not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGKILL])
async def test_a_stopped_keeper_does_not_keep_the_next_start_away(
    upstream, home, database, database_url, secret, ends
):
    upstream.plan(responding_by_path)
    callers = Callers(secret)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        keeper, recorder = keeper_of(sidecar), await recorder_of(sidecar)
        os.kill(keeper, signal.SIGSTOP)
        await callers.make(sidecar.port, 10)
        await sidecar.stop(ends)
        await eventually(lambda: gone(keeper, recorder))
        assert not [line for line in sidecar.log if line["event"] == "recorder.end_timed_out"]
    async with home.sidecar(upstream.url, database_url):
        assert len(await arrived(database, 10)) == 10


async def test_a_signal_to_all_of_its_processes_stops_a_sidecar_in_order(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        processes = [keeper_of(sidecar), await recorder_of(sidecar)]
        await callers.make(sidecar.port, 100)
        for pid in [*processes, sidecar.pid]:
            os.kill(pid, signal.SIGTERM)
        assert await sidecar.stop() == 0
        assert await gone(*processes)
    assert len(await entries_in(database)) == 100
    assert list(home.ring.iterdir()) == []


async def test_without_its_keeper_a_sidecar_goes_on_and_says_so(
    upstream, home, database, database_url, secret
):
    upstream.plan(responding_by_path)
    callers = Callers(secret)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        recorder = await recorder_of(sidecar)
        os.kill(keeper_of(sidecar), signal.SIGKILL)
        await degraded(sidecar, "the recorder's keeper has ended")
        # Nothing would start the recorder again: the orchestrator is asked for a restart.
        assert "the recorder's keeper has ended" in await death(sidecar)
        assert children_of(sidecar.pid) == []  # not even a zombie
        await callers.make(sidecar.port, 10)
        assert len(await arrived(database, 10)) == 10
        await sidecar.kill()
        await eventually(lambda: gone(recorder))


async def test_a_second_sidecar_with_the_same_journal_leaves_no_process(upstream, home):
    async with home.sidecar(upstream.url) as first:
        with pytest.raises(AssertionError, match="another process keeps its journal here"):
            async with home.sidecar(upstream.url):
                pass
        assert await recorder_of(first)
