"""Files that are removed: what memory has is written anew, and the rest is a gap of its size."""

from datetime import UTC, datetime

import pytest

from proxy.journal import Limits
from tests.neighbours.journal import (
    SMALL,
    a_record,
    everything,
    interrupted,
    segments,
    shared_memory,
    until,
)
from tests.neighbours.journal_files import JournalFiles, empty, remove

COUNT = 600
LARGE = Limits(ring_bytes=1024 * 1024, segment_bytes=32 * 1024, max_bytes=1024 * 1024)
"""A ring that has everything, and several segments."""


@pytest.fixture
def files(tmp_path):
    with shared_memory() as memory:
        (ring := memory / "ring").mkdir()
        yield JournalFiles(tmp_path / "journal", ring)


def a_segment(files):
    segments(files.folder)[1].unlink()


def the_open_segment(files):
    segments(files.folder)[-1].unlink()


def all_segments(files):
    for path in segments(files.folder):
        path.unlink()


def everything_in_the_folder(files):
    empty(files.folder)


def the_folder(files):
    remove(files.folder)


def the_folder_and_made_again(files):
    remove(files.folder)
    files.folder.mkdir()


def the_ring(files):
    empty(files.ring)


def the_place_of_the_ring(files):
    remove(files.ring)


def all_of_it(files):
    remove(files.ring)
    remove(files.folder)


REMOVED = [
    a_segment,
    the_open_segment,
    all_segments,
    everything_in_the_folder,
    the_folder,
    the_folder_and_made_again,
    the_ring,
    the_place_of_the_ring,
    all_of_it,
]


async def offered(intake, first, count):
    records = [a_record(number) for number in range(first, first + count)]
    for record in records:
        assert intake.offer(record)
    await until(lambda: not intake.ring_bytes_in_use)
    return records


@pytest.mark.parametrize("remove", REMOVED)
async def test_a_clean_stop_writes_anew_what_was_removed(files, remove):
    async with files.opened(limits=LARGE) as (intake, journal):
        records = await offered(intake, 0, COUNT)
        remove(files)
    assert files.rings == []
    async with files.opened(limits=LARGE) as (intake, journal):
        assert await everything(journal) == (records, [])


@pytest.mark.parametrize("remove", REMOVED)
async def test_a_running_journal_writes_anew_what_was_removed(files, remove):
    async with files.opened(limits=LARGE) as (intake, journal):
        records = await offered(intake, 0, COUNT)
        on_disk = journal.bytes_on_disk
        in_memory = {path.name for path in files.ring.iterdir()}
        begun = interrupted(a_record(10_000))
        intake.begin(begun)
        remove(files)

        def is_whole():
            there = sum(path.stat().st_size for path in segments(files.folder))
            marks = {"id", "running", "position.json"}
            return (
                there == on_disk
                and marks <= {path.name for path in files.folder.iterdir()}
                and {path.name for path in files.ring.glob("*")} == in_memory
            )

        await until(is_whole)
        files.keep()
    files.put_back()
    async with files.opened(limits=LARGE) as (intake, journal):
        found, gaps = await everything(journal)
    assert (found, gaps) == ([*records, begun], [])


@pytest.mark.parametrize("remove", REMOVED)
async def test_the_database_gets_everything_that_was_removed_under_the_journal(files, remove):
    async with files.opened(limits=LARGE) as (intake, journal):
        records = await offered(intake, 0, COUNT)
        remove(files)
        records += await offered(intake, COUNT, 10)
        assert await everything(journal) == (records, [])
        await until(lambda: journal.problem is None)


async def full_of(intake, count):
    """Have *count* records on disk, of which the ring has the last only."""
    for number in range(count):
        intake.offer(a_record(number))
        await until(lambda: intake.ring_bytes_in_use < SMALL.ring_bytes // 2)
    await until(lambda: not intake.ring_bytes_in_use)


async def test_a_removed_segment_that_memory_no_longer_has_is_a_gap_of_its_size(files):
    async with files.opened() as (intake, journal):
        await full_of(intake, 3_000)
        first, second = segments(files.folder)[:2]
        before, lost = (path.read_bytes().count(b"\n") for path in (first, second))
        second.unlink()
        records, [gap] = await everything(journal)
        assert journal.problem is None
    assert (gap.reason, gap.count, len(records)) == ("journal_damaged", lost, 3_000 - lost)
    assert gap.started_at == a_record(before - 1).created_at
    assert gap.ended_at == a_record(before + lost).created_at


@pytest.mark.parametrize("committed", [0, 100])
async def test_what_was_removed_while_stopped_is_a_gap_before_the_next_call(files, committed):
    before = datetime.now(UTC)
    async with files.opened() as (intake, journal):
        for number in range(COUNT):
            assert intake.offer(a_record(number, created_at=datetime.now(UTC)))
            await until(lambda: intake.ring_bytes_in_use < SMALL.ring_bytes // 2)
        if committed:
            batch = await journal.read(max_lines=committed)
            committed = len(batch.records)
            journal.commit(batch)
    after = datetime.now(UTC)
    all_segments(files)
    async with files.opened() as (intake, journal):
        records, [gap] = await everything(journal)
        assert not journal.has_unwritten
        intake.offer(a_record(COUNT))
        following, gaps = await everything(journal)
    assert (records, gap.reason, gap.count) == ([], "journal_damaged", COUNT - committed)
    assert before <= gap.started_at <= gap.ended_at <= after
    assert ([record.path for record in following], gaps) == ([a_record(COUNT).path], [])


async def test_a_folder_that_was_moved_away_is_waited_for(files):
    away = files.folder.with_name("away")
    async with files.opened() as (intake, journal):
        records = await offered(intake, 0, 50)
        files.folder.rename(away)
        await until(lambda: "moved away" in str(journal.problem))
        away.rename(files.folder)
        await until(lambda: journal.problem is None)
        assert await everything(journal) == (records, [])


async def test_another_journal_in_the_place_of_the_folder_is_left_alone(files):
    async with files.opened() as (intake, journal):
        records = await offered(intake, 0, 50)
        remove(files.folder)
        files.folder.mkdir()
        (files.folder / "id").write_text("7\n")
        await until(lambda: "holds another journal now" in str(journal.problem))
        assert await everything(journal) == (records, [])
    assert [path.name for path in files.folder.iterdir()] == ["id"]
