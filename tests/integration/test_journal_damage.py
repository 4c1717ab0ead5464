"""A damaged journal: what can be read is read, what cannot is set aside and counted exactly."""

import pytest

from proxy.journal import open_journal
from tests.neighbours.journal import SMALL, a_record, everything, segments, until

COUNT = 1_000


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def opened(folder, tmp_path):
    return lambda: open_journal(
        folder, instance="sidecar-1", ring_directory=tmp_path / "ring", limits=SMALL
    )


@pytest.fixture
async def kept(opened, folder):
    """The segments of a journal with COUNT records, at least four of them."""
    async with opened() as (intake, _journal):
        for number in range(COUNT):
            intake.offer(a_record(number))
            await until(lambda: intake.ring_bytes_in_use < 100_000)
    found = segments(folder)
    assert len(found) > 3
    return found


async def read_again(opened):
    async with opened() as (_intake, journal):
        records, gaps = await everything(journal)
        assert {gap.reason for gap in gaps} <= {"journal_damaged"}
        missing = sum(gap.count or 0 for gap in gaps)
        assert journal.damaged == missing
        assert [record.created_at for record in records] == sorted(r.created_at for r in records)
        return {record.path for record in records}, missing, gaps


def lines_in(path):
    return path.read_bytes().count(b"\n")


async def test_an_undamaged_journal_has_everything(kept, opened):
    paths, missing, _ = await read_again(opened)
    assert paths == {a_record(number).path for number in range(COUNT)}
    assert missing == 0


async def test_a_flipped_byte_costs_its_line(kept, opened, folder):
    content = bytearray(kept[1].read_bytes())
    content[len(content) // 2] ^= 0x10
    kept[1].write_bytes(content)
    paths, missing, [gap] = await read_again(opened)
    assert (len(paths), missing) == (COUNT - 1, 1)
    assert (gap.ended_at - gap.started_at).total_seconds() == 2
    [raw] = (folder / "damaged").iterdir()
    assert raw.read_bytes() in content


async def test_a_flipped_byte_in_memory_costs_its_line(opened, folder, tmp_path):
    async with opened() as (intake, journal):
        for number in range(3):
            assert intake.offer(a_record(number))
        [ring] = [
            path for path in (tmp_path / "ring").iterdir() if b"clusters" in path.read_bytes()
        ]
        with ring.open("r+b") as file:
            file.seek(ring.read_bytes().index(b"clusters/1"))
            file.write(b"k")
        records, [gap] = await everything(journal)
    assert [record.path for record in records] == [a_record(0).path, a_record(2).path]
    assert gap.count == 1
    [kept] = (folder / "damaged").iterdir()
    assert b"klusters/1" in kept.read_bytes()


async def test_lines_as_long_as_they_get_are_read(opened):
    long = [a_record(number, path="\x01" * 4_000) for number in range(5)]
    async with opened() as (intake, journal):
        for record in long:
            assert intake.offer(record)
        records, gaps = await everything(journal)
    assert (records, gaps) == (long, [])


async def test_a_line_cut_off_at_the_end_of_a_segment_is_one_missing(kept, opened):
    kept[1].write_bytes(kept[1].read_bytes()[:-20])
    paths, missing, _ = await read_again(opened)
    assert (len(paths), missing) == (COUNT - 1, 1)


async def test_a_segment_cut_in_half_is_counted_line_by_line(kept, opened):
    content = kept[2].read_bytes()
    kept[2].write_bytes(content[: len(content) // 2])
    lost = content.count(b"\n") - lines_in(kept[2])
    paths, missing, _ = await read_again(opened)
    assert (len(paths), missing) == (COUNT - lost, lost)


async def test_a_segment_full_of_zeros_is_counted(kept, opened):
    lost = lines_in(kept[1])
    kept[1].write_bytes(bytes(kept[1].stat().st_size))
    paths, missing, [gap] = await read_again(opened)
    assert (len(paths), missing) == (COUNT - lost, lost)
    assert gap.count == lost


async def test_what_a_failed_write_left_behind_a_segment_is_no_part_of_it(kept, opened, folder):
    with kept[1].open("ab") as file:
        file.write(kept[2].read_bytes()[:1_000])
    paths, missing, _ = await read_again(opened)
    assert (len(paths), missing) == (COUNT, 0)
    assert not (folder / "damaged").exists()


async def test_a_lost_segment_is_counted(kept, opened):
    lost = lines_in(kept[1])
    kept[1].unlink()
    paths, missing, _ = await read_again(opened)
    assert (len(paths), missing) == (COUNT - lost, lost)


async def test_a_segment_that_cannot_be_read_is_set_aside_and_counted(kept, opened, folder):
    lost = lines_in(kept[1])
    kept[1].unlink()
    kept[1].mkdir()
    paths, missing, _ = await read_again(opened)
    assert (len(paths), missing) == (COUNT - lost, lost)
    assert [path.name for path in (folder / "damaged").iterdir()] == [kept[1].name]


async def test_a_line_twice_in_a_segment_is_the_same_record_twice(kept, opened):
    content = kept[1].read_bytes()
    first = content[: content.index(b"\n") + 1]
    kept[1].write_bytes(first + content)
    paths, missing, _ = await read_again(opened)
    # What it pushed over the segment's end is cut there.
    assert (len(paths), missing) == (COUNT - 1, 1)


async def test_the_end_of_the_last_segment_is_not_missed_by_the_next_records(kept, opened):
    kept[-1].write_bytes(kept[-1].read_bytes()[:-20])
    async with opened() as (intake, journal):
        intake.offer(a_record(COUNT))
        records, _ = await everything(journal)
    assert {r.path for r in records} == {
        a_record(n).path for n in range(COUNT + 1) if n != COUNT - 1
    }


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff\x00"])
async def test_a_lost_position_costs_repeated_records_only(kept, opened, folder, content):
    (folder / "position.json").unlink(missing_ok=True)
    if content is not None:
        (folder / "position.json").write_bytes(content)
    paths, missing, _ = await read_again(opened)
    assert (len(paths), missing) == (COUNT, 0)
