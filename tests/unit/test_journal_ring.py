"""The ring: log bytes in a mapped file, whose numbers survive the process."""

import os

import pytest

from proxy.journal.journal_error import RingDamagedError
from proxy.journal.line import MAX_LINE_BYTES
from proxy.journal.line_text import record_line
from proxy.journal.ring import MIN_RING_BYTES, Ring
from proxy.journal.ring_header import COUNTS, Beginning
from tests.neighbours.journal import a_record


@pytest.fixture
def ring(tmp_path):
    ring = Ring.create(
        tmp_path / "a.head", MIN_RING_BYTES, Beginning(identity=7, start=1_000, number=5)
    )
    yield ring
    ring.close()


def reopened(ring):
    return Ring.open(ring.path)


def test_appended_lines_are_read_back_across_the_end_of_the_ring(ring):
    written = b""
    for number in range(2_000):
        line = record_line(number, a_record(number))
        assert ring.append(line)
        written += line
        assert ring.peek(ring.written - len(line), len(line)) == line
        ring.moved = ring.written
    assert ring.written == 1_000 + len(written)
    assert len(written) > 2 * MIN_RING_BYTES


def test_a_full_ring_refuses_and_takes_again_when_there_is_room(ring):
    line = record_line(1, a_record())
    while ring.append(line):
        pass
    assert ring.size - len(line) < ring.written - ring.floor <= ring.size
    ring.moved = 1_000 + len(line)
    assert ring.append(line)
    assert not ring.append(line)


def test_room_is_also_made_by_what_the_database_has(ring):
    line = record_line(1, a_record())
    while ring.append(line):
        pass
    ring.commit(1_000 + len(line), 2)
    assert ring.append(line)


def test_overwritten_bytes_are_not_given_out(ring):
    line = record_line(1, a_record())
    for _ in range(1_000):
        ring.append(line)
        ring.moved = ring.written
    assert ring.peek(1_000, 100) is None
    assert ring.peek(ring.written - len(line), 1_000) == line


def test_bytes_that_a_line_on_its_way_may_overwrite_are_only_given_out_while_kept(ring):
    line = record_line(1, a_record())
    while ring.append(line):
        pass
    assert ring.peek(1_000, len(line)) == line
    ring.moved = ring.written
    assert ring.peek(1_000, len(line)) is None
    assert ring.peek(1_000 + MAX_LINE_BYTES, 10) is not None


def test_bytes_from_before_the_ring_was_made_are_not_given_out(ring):
    ring.append(record_line(5, a_record()))
    assert ring.peek(900, 100) is None


def test_everything_is_found_again_after_the_process_is_gone(ring):
    record = a_record()
    line = record_line(5, record)
    ring.append(line)
    ring.commit(1_000, 5)
    ring.counts.refusals.add(111)
    ring.counts.refusals.add(222)
    found = reopened(ring)
    assert (found.identity, found.written, found.moved) == (7, 1_000 + len(line), 1_000)
    assert (found.committed, found.committed_number) == (1_000, 5)
    assert found.peek(1_000, 10_000) == line
    assert found.counts.refusals.pending() == ring.counts.refusals.pending()
    assert found.counts.refusals.pending().count == 2
    counted = found.counts.refusals.pending()
    assert (counted.first_us, counted.last_us) == (111, 222)
    assert found.next_number() == 6
    found.close()


def test_a_ring_that_got_a_new_file_counts_in_it(ring):
    ring.path.unlink()
    twin = ring.file.twin()
    ring.change_to(twin)
    twin.settle(ring.path)
    for count in vars(ring.counts).values():
        count.add(111)
    found = reopened(ring)

    assert [count.pending().count for count in vars(found.counts).values()] == [1] * len(COUNTS)
    found.close()


def test_the_next_number_is_known_when_everything_has_been_moved(ring):
    assert ring.next_number() == 5
    for number in range(5, 2_000):
        ring.append(record_line(number, a_record()))
        ring.moved = ring.written
    assert ring.next_number() == 2_000


def test_refusals_begin_anew_once_they_are_reported(ring):
    ring.counts.refusals.add(1)
    first = ring.counts.refusals.pending()
    ring.counts.refusals.forget()
    assert ring.counts.refusals.pending() is None
    ring.counts.refusals.add(2)
    assert ring.counts.refusals.pending().count == 1
    assert ring.counts.refusals.pending().gap_id != first.gap_id


def test_a_file_that_cannot_be_made_leaves_nothing_behind(tmp_path):
    with pytest.raises(OSError):
        Ring.create(tmp_path / "a.head", 1 << 60, Beginning(identity=1, start=0, number=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"x" * 5_000, bytes(MIN_RING_BYTES + 4_096)])
def test_a_file_that_is_no_head_is_refused(tmp_path, content):
    path = tmp_path / "a.head"
    path.write_bytes(content)
    with pytest.raises(RingDamagedError):
        Ring.open(path)


@pytest.mark.parametrize("word", range(8))
def test_a_ring_whose_numbers_contradict_each_other_is_refused(ring, word):
    with ring.path.open("r+b") as file:
        file.seek(8 * word)
        file.write((1 << 62).to_bytes(8, "little"))
    if word in {1, 4}:  # identity and first number: any is as good
        reopened(ring).close()
    else:
        with pytest.raises(RingDamagedError):
            reopened(ring)


def test_what_is_not_a_file_of_ours_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.head")
    with pytest.raises(RingDamagedError):
        Ring.open(tmp_path / "a.head")
    (tmp_path / "b.head").symlink_to(tmp_path / "a.head")
    with pytest.raises(OSError):
        Ring.open(tmp_path / "b.head")
