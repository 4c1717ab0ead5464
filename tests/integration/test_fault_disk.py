"""A journal disk that hangs: calls go on, and their records arrive by another way or later."""

import os
from contextlib import suppress

import pytest

from tests.neighbours.arrivals import arrived, entries_in
from tests.neighbours.audit_database import nobody_let_in
from tests.neighbours.journal import segments
from tests.neighbours.ops import degraded, metric, records, recovered
from tests.neighbours.patience import eventually

CALLS = 500
PADDING = 1_900
UNSEALED = {"PROXY_SEAL": "no"}
"""Else a line tells of the start, and the first segment is there before the first call."""


class HangingDisk:
    """Lets whoever opens *path* for writing hang, as a disk does that does not answer.

    Opening a pipe to write waits until somebody opens it to read.
    """

    def __init__(self, path):
        self._path = path

    def hang(self):
        """Hang from the next opening on; raise FileExistsError while the file is in use."""
        os.mkfifo(self._path)

    def answer(self):
        """Let it go on, for good."""
        # Read from until the pipe is gone: the mover tries again at once, and would hang anew.
        reader = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        with suppress(FileNotFoundError):
            self._path.unlink()
        os.close(reader)


@pytest.fixture
def first_segment(home):
    """The file that the sidecar makes for its first record."""
    return HangingDisk(home.journal / f"{0:020d}.ndjson")


async def has_begun(sidecar, home):
    """Wait until the recorder has looked at the folder: it would remove a pipe that it finds."""

    async def has_saved_its_position():
        return (home.journal / "position.json").exists()

    assert await eventually(has_saved_its_position, sidecar.report)


async def test_records_go_from_memory_straight_to_the_database(
    home, first_segment, upstream, callers, database, database_url
):
    # Less memory than the records need: only what is in the database makes room for them.
    small = {"PROXY_JOURNAL_RING_BYTES": str(1024 * 1024), **UNSEALED}
    async with home.sidecar(upstream.url, database_url, **small) as sidecar:
        await has_begun(sidecar, home)
        first_segment.hang()
        # The disk is to come first: what is in the database already is never brought to it.
        async with database.transaction() as transaction:
            await transaction.execute("LOCK TABLE mcp_audit_log IN EXCLUSIVE MODE")
            await callers.make(sidecar.port, 1)
            await degraded(sidecar, "journal disk has not answered")
        for _ in range(5):
            await callers.make(sidecar.port, CALLS // 2)
            await arrived(database, len(callers.sent))
        assert await metric(sidecar, "journal_disk_bytes") == 0
        assert await records(sidecar, "lost") == 0
        await degraded(sidecar, "journal disk has not answered")
        first_segment.answer()
        await recovered(sidecar)
    entries = await entries_in(database)
    assert [entry.path for entry in entries] == callers.sent
    assert all(entry.tells_the_truth for entry in entries)


async def test_with_the_database_away_as_well_records_wait_in_memory(
    home, first_segment, upstream, callers, database, database_url, store, postgres
):
    async with home.sidecar(upstream.url, database_url, **UNSEALED) as sidecar:
        await has_begun(sidecar, home)
        first_segment.hang()
        async with nobody_let_in(postgres, database_url):
            await callers.make(sidecar.port, CALLS)
            await degraded(sidecar, "journal disk has not answered")
            assert await metric(sidecar, "journal_disk_bytes") == 0
            assert await metric(sidecar, "journal_ring_bytes") > CALLS * PADDING
            first_segment.answer()

            async def has_moved():
                return await metric(sidecar, "journal_ring_bytes") == 0

            await eventually(has_moved, sidecar.report)
            assert segments(home.journal) != []
        entries = await arrived(database, CALLS)
        assert await records(sidecar, "lost") == 0
    assert [entry.path for entry in entries] == callers.sent
    assert await store.gaps() == []


async def test_a_disk_that_begins_to_hang_under_load_is_not_noticed(
    home, upstream, callers, database, database_url
):
    # The file that the writer's position goes to, once a second.
    position = HangingDisk(home.journal / "position.new")

    async def hangs():
        with suppress(FileExistsError):
            position.hang()
            return True

    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, CALLS)
        await eventually(hangs)
        await callers.make(sidecar.port, CALLS)
        await degraded(sidecar, "journal disk has not answered")
        await callers.make(sidecar.port, CALLS)
        entries = await arrived(database, 3 * CALLS)
        position.answer()
        await recovered(sidecar)
    assert [entry.path for entry in entries] == callers.sent


async def test_a_stop_does_not_wait_for_it_and_nothing_is_lost(
    home, first_segment, upstream, callers, database, database_url, store
):
    async with home.sidecar(upstream.url, PROXY_STOP_SECONDS="1", **UNSEALED) as sidecar:
        await has_begun(sidecar, home)
        first_segment.hang()
        await callers.make(sidecar.port, CALLS)
        assert await sidecar.stop() == 0
        assert await sidecar.logged("journal.close_timed_out")
    first_segment.answer()
    async with home.sidecar(upstream.url, database_url):
        entries = await arrived(database, CALLS)
    assert [entry.path for entry in entries] == callers.sent
    assert await store.gaps() == []
