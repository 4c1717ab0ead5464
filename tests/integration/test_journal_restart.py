"""The journal across clean stops, its lock, and rings that are not where they should be."""

import asyncio
import os
from contextlib import suppress

import pytest

from audit_log.record import Outcome
from proxy.journal import JournalError, JournalLockedError, open_journal
from tests.neighbours.journal import (
    BEGINNING,
    SMALL,
    a_record,
    everything,
    interrupted,
    segments,
    until,
)
from tests.neighbours.patience import eventually
from tests.neighbours.records import as_records


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def ring_directory(tmp_path):
    return tmp_path / "ring"


@pytest.fixture
def opened(folder, ring_directory):
    def open_it(**changes):
        values = {"instance": "sidecar-1", "ring_directory": ring_directory, "limits": SMALL}
        return open_journal(folder, **{**values, **changes})

    return open_it


async def test_records_come_out_in_the_order_in_which_they_went_in(opened):
    async with opened() as (intake, journal):
        records = [a_record(number) for number in range(100)]
        assert all(intake.offer(record) for record in records)
        assert await everything(journal) == (records, [])
        assert intake.accepted == 100
        assert not journal.has_unwritten


async def test_reading_waits_for_a_record_and_says_the_same_until_it_is_committed(opened):
    async with opened() as (intake, journal):
        reading = asyncio.create_task(journal.read())
        await asyncio.sleep(0)
        assert not reading.done()
        record = a_record()
        intake.offer(record)
        batch = await reading
        assert as_records(batch.records) == [record]
        assert journal.oldest_unwritten == record.created_at
        assert as_records((await journal.read()).records) == [record]
        journal.commit(batch)
        assert journal.oldest_unwritten is None
        journal.end_reading()
        assert await journal.read() is None


async def test_a_clean_stop_brings_all_to_disk_and_leaves_no_head(opened, folder, ring_directory):
    records = [a_record(number) for number in range(2_000)]
    async with opened() as (intake, journal):
        for record in records:
            intake.offer(record)
            await until(lambda: intake.ring_bytes_in_use < 100_000)
    assert list(ring_directory.iterdir()) == []
    assert not (folder / "running").exists()
    async with opened() as (intake, journal):
        assert await everything(journal) == (records, [])
    assert segments(folder) == []


async def test_what_was_committed_is_not_read_again(opened):
    async with opened() as (intake, journal):
        for number in range(20):
            intake.offer(a_record(number))
        batch = await journal.read(max_lines=15)
        journal.commit(batch)
    async with opened() as (intake, journal):
        records, gaps = await everything(journal)
        assert [record.path for record in records] == [a_record(n).path for n in range(15, 20)]
        assert gaps == []


async def test_calls_that_nobody_ends_before_the_stop_are_recorded_as_interrupted(
    opened, ring_directory
):
    async with opened() as (intake, journal):
        intake.begin(interrupted(a_record()))
        intake.end(intake.begin(interrupted(a_record())), a_record())
        assert intake.in_flight == 1
    assert list(ring_directory.iterdir()) == []
    async with opened() as (intake, journal):
        records, _ = await everything(journal)
        assert [r.outcome for r in records] == [Outcome.COMPLETED, Outcome.INTERRUPTED]


async def test_segments_are_deleted_once_they_are_committed(opened, folder):
    async with opened() as (intake, journal):
        for number in range(1_500):
            intake.offer(a_record(number))
            await until(lambda: intake.ring_bytes_in_use < 100_000)
        await until(lambda: not intake.ring_bytes_in_use)
        before = len(segments(folder))
        assert before > 3
        await everything(journal)
        await until(lambda: len(segments(folder)) <= 1)
        await until(lambda: journal.bytes_on_disk <= SMALL.segment_bytes)


async def test_a_second_process_is_told_who_is_in_its_way(opened, folder):
    async with opened():
        with pytest.raises(JournalLockedError, match=str(folder)):
            async with opened():
                pass
    async with opened():
        pass


async def test_an_opening_given_up_leaves_the_journal_to_the_next(opened, folder):
    async with opened() as (intake, _journal):
        assert intake.offer(a_record())
    mark = folder / "running"
    os.mkfifo(mark)  # to open it waits until somebody writes there
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), opened():
            pass
    os.close(os.open(mark, os.O_WRONLY))
    mark.unlink()

    async def records():
        with suppress(JournalLockedError):
            async with opened() as (_intake, journal):
                return (await everything(journal))[0]

    assert [record.path for record in await eventually(records)] == [a_record().path]


async def test_a_folder_that_cannot_be_made_is_one_readable_line(opened, folder):
    folder.write_text("a file is in the way")
    with pytest.raises(JournalError, match=f"{folder}: no journal can be kept here"):
        async with opened():
            pass


async def test_a_ring_lost_with_its_memory_leaves_a_gap_of_unknown_size(
    opened, folder, ring_directory
):
    (lost := folder.parent / "lost").mkdir()
    async with opened(ring_directory=lost) as (intake, journal):
        for number in range(10):
            intake.offer(a_record(number))
        await until(lambda: not intake.ring_bytes_in_use)
        copy = folder.parent / "copy"
        # What a machine leaves of the folder when it loses its power.
        os.system(f"cp -r {folder} {copy}")  # noqa: ASYNC221
    async with open_journal(
        copy, instance="sidecar-1", ring_directory=ring_directory, limits=SMALL
    ) as (intake, journal):
        intake.offer(a_record(99))
        records, [gap] = await everything(journal)
    assert [r.path for r in records] == [a_record(n).path for n in [*range(10), 99]]
    assert (gap.reason, gap.count) == ("head_lost", None)
    assert gap.started_at == a_record(9).created_at


async def test_a_lost_head_with_nothing_on_disk_is_a_gap_since_the_last_commit(
    opened, folder, ring_directory
):
    async with opened() as (intake, journal):
        intake.offer(a_record())
        await everything(journal)
    assert segments(folder) == []
    (folder / "running").write_text("123456789\n")
    os.utime(folder / "position.json", (BEGINNING.timestamp(), BEGINNING.timestamp()))
    async with opened() as (intake, journal):
        _, [gap] = await everything(journal)
    assert (gap.reason, gap.started_at) == ("head_lost", BEGINNING)


async def test_a_ring_of_another_life_is_set_aside(opened, folder, ring_directory):
    async with opened() as (intake, journal):
        intake.offer(a_record(1))
        [ring] = ring_directory.glob("*.head")
        stale = ring.read_bytes()
    async with opened() as (intake, journal):
        intake.offer(a_record(2))
    ring.write_bytes(stale)
    (folder / "running").write_text("123456789\n")
    async with opened() as (intake, journal):
        records, [gap] = await everything(journal)
    assert [r.path for r in records] == [a_record(1).path, a_record(2).path]
    assert gap.reason == "head_lost"
    assert len(list((folder / "damaged").iterdir())) == 1


async def test_without_room_in_memory_the_ring_lies_in_the_journal_folder(
    opened, folder, ring_directory
):
    ring_directory.write_text("no folder")
    async with opened() as (intake, journal):
        assert list(folder.glob("*.head"))
        assert "PROXY_JOURNAL_RING_DIR" in str(intake.problem)
        intake.offer(a_record())
        records, _ = await everything(journal)
        assert len(records) == 1
    assert not list(folder.glob("*.head"))
