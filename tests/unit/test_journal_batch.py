"""Batches: whatever the bytes are, nothing is invented and nothing goes missing unnoticed."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.journal.batch import DAMAGED, Assembly, Batch
from proxy.journal.line_text import record_line
from proxy.journal.ring_header import Place
from tests.neighbours.journal import a_record
from tests.neighbours.records import as_records

RECORDS = [a_record(number) for number in range(30)]
LINES = [record_line(number + 1, record) for number, record in enumerate(RECORDS)]
LOG = b"".join(LINES)


def batch_of(data, expected=1, max_lines=1_000):
    return Assembly("sidecar-1").batch(data, Place(500, expected, None), max_lines)


def test_whole_lines_give_their_records_in_order():
    batch = batch_of(LOG)
    assert as_records(batch.records) == RECORDS
    assert (batch.gaps, batch.damages) == ([], [])
    assert (batch.end, batch.next_number) == (500 + len(LOG), 31)


def test_a_batch_ends_after_as_many_lines_as_were_asked_for():
    batch = batch_of(LOG, max_lines=3)
    assert as_records(batch.records) == RECORDS[:3]
    assert (batch.end, batch.next_number) == (500 + len(b"".join(LINES[:3])), 4)


def test_a_missing_stretch_is_a_gap_between_its_neighbours():
    batch = batch_of(b"".join(LINES[:5] + LINES[8:]))
    assert as_records(batch.records) == RECORDS[:5] + RECORDS[8:]
    [gap] = batch.gaps
    assert (gap.count, gap.reason, gap.instance) == (3, DAMAGED, "sidecar-1")
    assert (gap.started_at, gap.ended_at) == (RECORDS[4].created_at, RECORDS[8].created_at)


def test_a_gap_found_again_is_the_same_gap():
    data = b"".join(LINES[:5] + LINES[8:])
    assert batch_of(data).gaps == batch_of(data).gaps


def test_a_gap_across_two_batches_is_noticed():
    assembly = Assembly("sidecar-1")
    first = assembly.batch(b"".join(LINES[:5]), Place(0, 1, None), 100)
    second = assembly.batch(b"".join(LINES[7:]), first.following, 100)
    [gap] = second.gaps
    assert gap.count == 2
    assert gap.started_at == RECORDS[4].created_at


def test_without_an_expected_number_the_first_line_is_taken_as_it_is():
    assert batch_of(b"".join(LINES[7:]), expected=0).gaps == []


def test_damaged_lines_in_a_row_are_one_finding():
    lines = [*LINES[:3], b"x" + LINES[3][1:], b"\n", b"\n", *LINES[4:]]
    batch = batch_of(b"".join(lines))
    [damage] = batch.damages
    assert damage.offset == 500 + len(b"".join(LINES[:3]))
    assert damage.raw == b"".join(lines[3:6])
    assert [gap.count for gap in batch.gaps] == [1]


def test_a_torn_last_line_is_a_finding_and_no_gap_yet():
    batch = batch_of(LOG[:-10])
    assert as_records(batch.records) == RECORDS[:-1]
    assert batch.damages[0].raw == LINES[-1][:-10]
    assert batch.gaps == []
    assert batch.end == 500 + len(LOG) - 10


def test_a_clock_that_jumps_back_changes_no_order_and_no_gap():
    early = a_record(-3_600)
    batch = batch_of(LINES[0] + record_line(3, early))
    assert as_records(batch.records) == [RECORDS[0], early]
    [gap] = batch.gaps
    assert gap.started_at < gap.ended_at


@given(st.binary(max_size=2_000))
def test_noise_gives_nothing_and_raises_nothing(noise):
    batch = batch_of(noise)
    assert (batch.records, batch.gaps) == ([], [])
    assert batch.end == 500 + len(noise)
    assert b"".join(damage.raw for damage in batch.damages) == noise


@given(st.data())
def test_flipped_bytes_cost_the_lines_that_they_are_in_and_are_counted(data):
    log = bytearray(LOG)
    flips = data.draw(st.lists(st.integers(0, len(log) - 1), min_size=1, max_size=20, unique=True))
    for position in flips:
        log[position] ^= data.draw(st.integers(1, 255))
    batch = batch_of(bytes(log), max_lines=10_000)
    records = as_records(batch.records)
    assert [record for record in RECORDS if record in records] == records
    last = RECORDS.index(records[-1]) if records else -1
    assert sum(gap.count or 0 for gap in batch.gaps) == last + 1 - len(batch.records)


@given(st.lists(st.integers(0, len(LINES) - 1), max_size=60), st.integers(0, 400))
def test_lines_in_any_order_repeated_and_cut_invent_nothing(order, cut):
    data = b"".join(LINES[index] for index in order)
    data = data[: max(0, len(data) - cut)]
    batch = batch_of(data)
    assert all(record in RECORDS for record in as_records(batch.records))
    assert len(batch.records) <= len(order)


@given(
    st.lists(st.integers(0, len(LINES) - 1), max_size=60),
    st.lists(st.integers(1, 9), min_size=1, max_size=60),
    st.integers(0, 2),
)
def test_a_log_read_in_pieces_says_what_it_says_in_one(order, sizes, expected):
    data = b"".join(LINES[index] for index in order)
    whole = Assembly("sidecar-1").batch(data, Place(0, expected, None), len(order))
    assembly, pieces = Assembly("sidecar-1"), Batch(end=0, next_number=expected)
    for size in [*sizes, len(order)]:
        piece = assembly.batch(data[pieces.end :], pieces.following, size)
        pieces.go_on_with(piece)
    assert pieces == whole
