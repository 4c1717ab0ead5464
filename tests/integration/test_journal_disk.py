"""A disk that fails, hangs or is full: calls do not notice, and what is lost is counted."""

import asyncio
import os
import time

import pytest

from audit_log.record import AuditRecord, Outcome
from proxy.journal import Limits, open_journal
from proxy.journal.folder import MAX_DAMAGED_BYTES, JournalFolder
from proxy.journal.line_text import record_line
from proxy.journal.segments import Segments
from tests.neighbours.journal import (
    SMALL,
    a_record,
    everything,
    file_size_limited,
    interrupted,
    segments,
    shared_memory,
    stall_disk,
    until,
)
from tests.neighbours.journal_child import journal_child


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def ring_directory():
    with shared_memory() as folder:
        yield folder


@pytest.fixture
def opened(folder, ring_directory):
    def open_it(limits=SMALL):
        return open_journal(
            folder, instance="sidecar-1", ring_directory=ring_directory, limits=limits
        )

    return open_it


async def test_a_stalled_disk_is_not_noticed_and_its_records_arrive(opened, folder):
    async with opened() as (intake, journal):
        come_back = stall_disk(folder)
        records = [a_record(number) for number in range(200)]
        for record in records:
            began = time.perf_counter()
            assert intake.end(intake.begin(interrupted(record)), record)
            assert time.perf_counter() - began < 0.5
        await until(lambda: journal.problem)
        assert "has not answered" in journal.problem
        assert intake.ring_bytes_in_use > 0
        come_back()
        await until(lambda: not intake.ring_bytes_in_use)
        assert journal.problem is None
        assert journal.bytes_on_disk > 0
        assert await everything(journal) == (records, [])


async def test_with_a_dead_disk_the_database_still_gets_everything(opened, folder):
    async with opened() as (intake, journal):
        come_back = stall_disk(folder)
        intake.offer(a_record(0))
        await until(lambda: journal.problem)
        await everything(journal)
        paths = []
        # Many times what the ring can hold.
        for turn in range(20):
            for number in range(200):
                assert intake.offer(a_record(200 * turn + number))
            records, gaps = await everything(journal)
            paths += [record.path for record in records]
            assert gaps == []
        assert paths == [a_record(number).path for number in range(4_000)]
        assert intake.refused == 0
        assert journal.bytes_on_disk == 0
        come_back()


async def test_a_stop_does_not_wait_for_a_dead_disk_and_the_next_start_has_everything(
    opened, folder, ring_directory
):
    began = time.monotonic()
    async with journal_child(str(folder), str(ring_directory), "500") as (process, _):
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert time.monotonic() - began < 15
    assert list(ring_directory.glob("*.head"))
    async with opened() as (_intake, journal):
        records, gaps = await everything(journal)
    assert [record.path for record in records] == [a_record(n).path for n in range(500)]
    assert gaps == []
    assert list(ring_directory.iterdir()) == []


async def test_a_failing_disk_is_tried_again_until_it_works(opened, folder):
    away = folder.with_name("away")
    async with opened() as (intake, journal):
        records = [a_record(number) for number in range(100)]
        for record in records[:50]:
            intake.offer(record)
        await until(lambda: not intake.ring_bytes_in_use)
        folder.rename(away)
        more = [a_record(number) for number in range(50, 400)]
        for record in more:
            assert intake.offer(record)
        await until(lambda: journal.problem)
        assert "No such file or directory" in journal.problem
        away.rename(folder)
        await until(lambda: not intake.ring_bytes_in_use and not journal.problem)
        assert await everything(journal) == (records[:50] + more, [])


def test_a_write_that_stops_half_way_is_cut_off_and_made_again(tmp_path):
    folder = JournalFolder(tmp_path)
    kept = Segments(folder, 1 << 20)
    lines = [record_line(number, a_record(number)) for number in range(10)]
    first, second = b"".join(lines[:5]), b"".join(lines[5:])
    kept.append(0, first)
    with file_size_limited(len(first) + 100), pytest.raises(OSError, match="too large"):
        kept.append(len(first), second)
    assert kept.total_bytes == len(first)
    assert segments(tmp_path)[0].read_bytes() == first
    kept.append(len(first), second)
    kept.leave()
    assert b"".join(path.read_bytes() for path in segments(tmp_path)) == first + second
    folder.close()


async def test_what_a_full_journal_refuses_is_counted_and_told_even_when_no_call_comes(opened):
    async with opened() as (intake, journal):
        offered: list[tuple[AuditRecord, bool]] = []
        # Until the disk is full and not only the ring, which is when the mover is slow.
        while journal.problem is None or not intake.refused:
            for number in range(len(offered), len(offered) + 100):
                record = a_record(number)
                offered.append((record, intake.offer(record)))
            await asyncio.sleep(0.005)
        taken = [record for record, was_taken in offered if was_taken]
        refused = [record for record, was_taken in offered if not was_taken]
        assert intake.refused == len(refused)
        assert "used up its bytes" in journal.problem
        assert journal.bytes_on_disk <= SMALL.max_bytes
        records, gaps = await everything(journal)
        if sum(gap.count or 0 for gap in gaps) < len(refused):
            await until(lambda: journal.has_unwritten)
            gaps += (await everything(journal))[1]
        assert records == taken
        assert sum(gap.count or 0 for gap in gaps) == len(refused)
        assert {gap.reason for gap in gaps} == {"journal_full"}
        assert all(gap.started_at <= gap.ended_at for gap in gaps)
        assert intake.offer(a_record())


async def test_each_time_the_journal_is_full_is_a_gap_of_its_own(opened):
    async with opened(Limits(ring_bytes=1, segment_bytes=1, max_bytes=1)) as (intake, journal):
        refused, gaps = [], []
        for _ in range(3):
            refused.append(sum(not intake.offer(a_record(number)) for number in range(1_000)))
            await everything(journal)
            await until(lambda: journal.has_unwritten)
            gaps += (await everything(journal))[1]
        assert [gap.count for gap in gaps] == refused
        assert len({gap.id for gap in gaps}) == 3


async def test_refusals_survive_a_stop(opened):
    async with opened(Limits(ring_bytes=1, segment_bytes=1, max_bytes=1)) as (intake, journal):
        refused = sum(not intake.offer(a_record(number)) for number in range(1_000))
        assert refused > 0
    async with opened() as (intake, journal):
        records, _ = await everything(journal)
        await until(lambda: journal.has_unwritten)
        _, gaps = await everything(journal)
    assert len(records) == 1_000 - refused
    assert [gap.count for gap in gaps] == [refused]


async def test_a_small_budget_is_used_again_as_soon_as_its_records_are_written(opened):
    async with opened(Limits(ring_bytes=1, segment_bytes=1 << 20, max_bytes=200_000)) as (
        intake,
        journal,
    ):
        for turn in range(10):
            for number in range(300):
                assert intake.offer(a_record(300 * turn + number))
            records, _ = await everything(journal)
            assert len(records) == 300
        assert journal.bytes_on_disk <= 200_000


async def test_more_calls_than_slots_go_on_unprotected_and_are_counted(opened, folder):
    async with opened() as (intake, journal):
        # The mover adds slots, unless it waits for a disk.
        come_back = stall_disk(folder)
        assert intake.offer(a_record(1_100))
        await until(lambda: journal.problem)
        slots = [intake.begin(interrupted(a_record(number))) for number in range(1_100)]
        assert slots.count(-1) == intake.unprotected == 76
        come_back()
        for number, slot in enumerate(slots):
            assert intake.end(slot, a_record(number))
            if number % 100 == 0:
                await until(lambda: intake.ring_bytes_in_use < 50_000)
        records, _ = await everything(journal)
        assert {record.outcome for record in records} == {Outcome.COMPLETED}
        assert len(records) == 1_101


async def test_a_disk_that_hangs_over_a_refused_record_holds_nothing_else_up(opened, folder):
    async with opened() as (intake, journal):
        shelf = folder / "set_aside" / "records.ndjson"
        shelf.parent.mkdir()
        os.mkfifo(shelf)
        hanging = asyncio.create_task(journal.quarantine(b"{}\n"))
        await asyncio.sleep(0)
        intake.offer(a_record())
        records, _ = await everything(journal)
        assert len(records) == 1
        assert not hanging.done()
        while not hanging.done():  # its thread may not have come to the disk yet
            os.close(os.open(shelf, os.O_RDONLY | os.O_NONBLOCK))
            await asyncio.wait({hanging}, timeout=0.01)
        assert isinstance(hanging.exception(), OSError)


def test_of_what_is_damaged_the_oldest_goes_when_it_takes_too_much(tmp_path):
    folder = JournalFolder(tmp_path)
    kept = [folder.keep_damaged(f"{number}.raw", b"x") for number in range(3)]
    for number, path in enumerate(kept):
        os.truncate(path, MAX_DAMAGED_BYTES // 2)
        os.utime(path, (number, number))
    newest = folder.keep_damaged("9.raw", b"x")
    folder.close()
    assert sorted(newest.parent.iterdir()) == [kept[2], newest]


def keep_the_loop_busy(seconds: float) -> None:
    time.sleep(seconds)


async def test_a_close_that_is_done_as_its_time_is_over_ends_well(folder, ring_directory):
    """A thread has closed everything, and the loop learns that and the time in one go."""
    close_seconds = 0.3

    async def be_busy_when_all_is_removed():
        while list(ring_directory.iterdir()):
            await asyncio.sleep(0)
        keep_the_loop_busy(2 * close_seconds)

    opening = open_journal(
        folder,
        instance="sidecar-1",
        ring_directory=ring_directory,
        limits=SMALL,
        close_seconds=close_seconds,
    )
    async with opening as (intake, journal):
        record = a_record()
        assert intake.end(intake.begin(interrupted(record)), record)
        assert await everything(journal) == ([record], [])
        busy = asyncio.create_task(be_busy_when_all_is_removed())
    await busy
