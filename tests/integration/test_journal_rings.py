"""Which ring a journal goes on with, and what becomes of the others."""

import shutil
from datetime import timedelta

import pytest

from proxy.journal import Limits
from proxy.journal.ring import Ring
from tests.neighbours.journal import (
    BEGINNING,
    a_record,
    everything,
    file_size_limited,
    interrupted,
    shared_memory,
)
from tests.neighbours.journal_files import JournalFiles

MEBIBYTE = 1024 * 1024


@pytest.fixture
def files(tmp_path):
    with shared_memory() as memory:
        (ring := memory / "ring").mkdir()
        yield JournalFiles(tmp_path / "journal", ring)


async def found(files):
    async with files.opened() as (_intake, journal):
        return await everything(journal)


@pytest.mark.parametrize("moved", [True, False])
async def test_the_ring_of_a_killed_sidecar_is_gone_on_with(files, moved):
    records = await files.killed_with(50, moved=moved)
    assert await found(files) == (records, [])
    assert files.rings == []


@pytest.mark.parametrize("moved", [True, False])
async def test_a_mark_that_is_missing_after_a_kill_changes_nothing(files, moved):
    records = await files.killed_with(50, moved=moved)
    (files.folder / "running").unlink()
    assert await found(files) == (records, [])


async def test_a_folder_that_was_removed_and_made_again_finds_its_ring(files):
    records = await files.killed_with(50)
    shutil.rmtree(files.folder)
    assert await found(files) == (records, [])


async def test_the_journal_of_an_older_version_is_recovered_after_a_kill(files):
    async with files.opened() as (intake, _journal):
        intake.offer(a_record(1_000))
    records = await files.killed_with(50, moved=False)
    files.as_before_0_2()
    recovered, gaps = await found(files)
    assert ([record.path for record in recovered], gaps) == (
        [a_record(1_000).path, *(record.path for record in records)],
        [],
    )
    assert list(files.ring.iterdir()) == []


@pytest.mark.parametrize("has_stopped", [True, False])
async def test_an_older_version_that_could_write_no_mark_is_recovered_after_a_kill(
    files, has_stopped
):
    if has_stopped:
        async with files.opened() as (intake, journal):
            intake.offer(a_record(1_000))
            await everything(journal)
    records = await files.killed_with(50, moved=False)
    files.as_before_0_2()
    (files.folder / "running").unlink()
    assert await found(files) == (records, [])


async def test_the_clean_stop_of_an_older_version_is_gone_on_from(files):
    async with files.opened() as (intake, journal):
        intake.offer(a_record(1))
    files.as_before_0_2()
    async with files.opened() as (intake, journal):
        intake.offer(a_record(2))
        records, gaps = await everything(journal)
    assert [record.path for record in records] == [a_record(1).path, a_record(2).path]
    assert gaps == []


async def leave_a_ring_of_another_life(files):
    """Leave a clean stop, and a ring with 50 lines that were never moved from before it."""
    await files.killed_with(50, moved=False)
    stale = files.ring.with_name("stale")
    shutil.copytree(files.ring, stale)
    for path in files.rings:
        path.unlink()
    await found(files)
    for path in stale.iterdir():
        shutil.copy(path, files.ring)


async def test_a_ring_that_is_set_aside_is_a_gap_of_what_only_it_held(files):
    await leave_a_ring_of_another_life(files)
    records, [gap] = await found(files)
    assert records == []
    assert (gap.reason, gap.count, gap.instance) == ("head_lost", 50, "sidecar-1")
    assert (gap.started_at, gap.ended_at) == (a_record(0).created_at, a_record(49).created_at)
    assert len(list((files.folder / "damaged").iterdir())) == 1
    assert await found(files) == ([], [])


async def test_what_a_ring_that_is_set_aside_had_counted_is_a_part_of_its_gap(files):
    await leave_a_ring_of_another_life(files)
    [path] = files.rings
    ring = Ring.open(path)
    for moment in (BEGINNING - timedelta(seconds=1), BEGINNING):
        ring.counts.refusals.add(int(moment.timestamp() * 1_000_000))
    ring.close()
    _, [gap] = await found(files)
    assert (gap.count, gap.started_at) == (52, BEGINNING - timedelta(seconds=1))


async def test_a_ring_that_cannot_be_moved_is_left_and_told_of_once(files):
    await leave_a_ring_of_another_life(files)
    (files.folder / "damaged").write_text("a file is in the way")
    for number, counts in enumerate([[50], [], []]):
        async with files.opened() as (intake, journal):
            assert journal.problem is None
            intake.offer(a_record(number))
            records, gaps = await everything(journal)
        assert [record.path for record in records] == [a_record(number).path]
        assert [gap.count for gap in gaps] == counts
    assert len(files.rings) == 1


async def test_beside_a_ring_that_cannot_be_moved_a_kill_loses_nothing(files):
    await leave_a_ring_of_another_life(files)
    (files.folder / "damaged").write_text("a file is in the way")
    await found(files)
    records = await files.killed_with(50, moved=False)
    assert len(files.rings) == 2
    assert await found(files) == (records, [])


async def test_a_damaged_ring_is_set_aside_and_told_of(files):
    await files.killed_with(50, moved=False)
    [ring] = files.rings
    with ring.open("r+b") as file:
        file.write(b"damaged!")
    records, [gap] = await found(files)
    assert (records, gap.reason, gap.count) == ([], "head_lost", None)
    assert len(list((files.folder / "damaged").iterdir())) == 1


async def test_something_else_in_the_place_of_the_ring_is_left_alone(files):
    records = await files.killed_with(1)
    [ring] = files.rings
    name = ring.name
    assert (await found(files))[0] == records
    (files.ring / name).symlink_to(files.folder)
    (files.ring / name).with_suffix(".calls").symlink_to(files.folder)
    async with files.opened() as (intake, journal):
        record = a_record(2)
        assert intake.end(intake.begin(interrupted(record)), record)
        assert journal.problem is None
        assert await everything(journal) == ([record], [])
    assert (files.ring / name).is_symlink()


async def test_where_there_is_no_room_for_the_ring_a_smaller_one_does(files):
    wanted = Limits(ring_bytes=8 * MEBIBYTE)
    with file_size_limited(5 * MEBIBYTE):
        async with files.opened(limits=wanted) as (intake, journal):
            assert "has 4194304 of 8388608 bytes: make room" in intake.problem
            record = a_record()
            assert intake.end(intake.begin(interrupted(record)), record)
            assert await everything(journal) == ([record], [])
    async with files.opened(limits=wanted) as (intake, journal):
        assert journal.problem is None
