"""Leaves of the journal: each line has one, and the same whenever and however it is read."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from audit_log.record import Event, Gap, ToolOutcome, new_record_id
from audit_log.seal.leaf import MISSING, VOID, entry_leaves, event_leaf, gap_leaf, tool_call_leaf
from audit_log.seal.leaves import LeafNote, Leaves
from audit_log.seal.places import Sealing
from audit_log.seal.tree import leaf_hash
from proxy.journal.batch import HEAD_LOST, Assembly, Batch
from proxy.journal.line_text import event_line, gap_line, record_line
from proxy.journal.ring_header import Place
from tests.neighbours.journal import BEGINNING, a_record, interrupted
from tests.neighbours.records import a_tool_call

START = datetime(2026, 11, 24, 11, 59, tzinfo=UTC)


def a_gap(reason=HEAD_LOST):
    return Gap(
        id=new_record_id(),
        started_at=BEGINNING,
        ended_at=BEGINNING,
        count=None,
        reason=reason,
        instance="sidecar-1",
    )


def an_event(number=0):
    moment = BEGINNING + timedelta(seconds=number)
    return Event(id=UUID(int=number), at=moment, name="start", details={"b": "2", "a": "1"})


def lines_of(count):
    """Lines of every kind, numbered from 1."""
    kinds = [
        lambda number: record_line(number, a_record(number)),
        lambda number: record_line(number, a_tool_call()),
        lambda number: gap_line(number, a_gap("journal_full")),
        lambda number: event_line(number, an_event(number)),
    ]
    return [kinds[number % 4 if number % 3 else 0](number) for number in range(1, count + 1)]


LINES = lines_of(40)
RECORDS = [record_line(number, a_record(number)) for number in range(1, 41)]


def batch_of(lines, *, start=1, first=1, moment=START):
    assembly = Assembly("sidecar-1", Sealing(7, first))
    return assembly.batch(b"".join(lines), Place(0, start, moment), 10_000)


def test_each_line_has_a_leaf_and_rows_bear_their_places():
    record, call, gap, event = a_record(), a_tool_call(), a_gap("journal_full"), an_event(3)
    batch = batch_of(
        [record_line(1, record), record_line(2, call), gap_line(3, gap), event_line(4, event)]
    )

    data = [*entry_leaves(batch.records), tool_call_leaf(call), gap_leaf(gap), event_leaf(event)]
    assert batch.leaves.first == 1
    assert batch.leaves.hashes == list(map(leaf_hash, data))
    rows = [*batch.records, *batch.invocations, *batch.gaps]
    assert [(row.log, row.seq) for row in rows] == [(7, 0), (7, 1), (7, 2)]
    assert batch.leaves.notes == [LeafNote(4, 1, event_leaf(event))]
    assert batch.events == [event]


def test_the_second_of_a_leaf_is_that_of_its_line():
    batch = batch_of([RECORDS[0], gap_line(2, a_gap("journal_full")), event_line(3, an_event(5))])
    noon = int(BEGINNING.timestamp())
    assert batch.leaves.seconds == [noon + 1, noon, noon + 5]


def test_every_256th_place_is_left_to_the_times_of_the_tile():
    lines = [record_line(number, a_record(number)) for number in range(1, 600)]
    places = [record.seq for record in batch_of(lines).records]
    assert places[253:257] == [253, 254, 256, 257]
    assert places[508:512] == [509, 510, 512, 513]


def test_lines_before_the_first_of_the_log_have_no_leaf_and_no_place():
    for lines in (RECORDS[:10], LINES[:10]):
        batch = batch_of(lines, first=8)
        assert batch.leaves.first == 8
        assert len(batch.leaves.hashes) == 3
        placed = [row.seq for row in [*batch.records, *batch.invocations, *batch.gaps]]
        assert sorted(place for place in placed if place is not None) == [
            place for place, line in enumerate(lines[7:]) if b'"event"' not in line
        ]


def test_a_missing_line_has_a_leaf_and_the_first_one_is_that_of_the_gap():
    batch = batch_of(RECORDS[:5] + RECORDS[8:])
    [gap] = batch.gaps
    assert (gap.log, gap.seq) == (7, 5)
    hashes = list(map(leaf_hash, [gap_leaf(gap), MISSING, MISSING]))
    assert batch.leaves.hashes[5:8] == hashes
    assert len(batch.leaves.hashes) == 40
    assert batch.leaves.seconds[5:8] == [int(gap.ended_at.timestamp()), None, None]
    assert batch.leaves.notes == [LeafNote(7, 2, MISSING)]


def test_numbers_that_were_skipped_after_the_ring_was_lost_are_void_and_no_gap():
    batch = batch_of([*RECORDS[:2], gap_line(10, a_gap()), record_line(11, a_record())])
    assert [gap.reason for gap in batch.gaps] == [HEAD_LOST]
    assert batch.leaves.hashes[2:9] == [leaf_hash(VOID)] * 7
    assert batch.leaves.notes == [LeafNote(3, 7, VOID)]
    assert batch.gaps[0].seq == 9


def test_a_line_below_the_expected_number_has_its_place_and_no_leaf():
    batch = batch_of([*RECORDS[:3], RECORDS[1], RECORDS[3]])
    assert [record.seq for record in batch.records] == [0, 1, 2, 1, 3]
    assert len(batch.leaves.hashes) == 4


def test_what_a_row_may_not_give_again_is_noted():
    unnamed = a_record(1, token_name=None, token_hash="c" * 64)
    ended = a_record(2)
    asked = a_tool_call(outcome=ToolOutcome.ASKED, status_code=202)
    calls = [a_tool_call(), asked, a_tool_call(id=asked.id), interrupted_call(a_tool_call())]
    said = [unnamed, ended, interrupted(ended), a_record(3), *calls]
    batch = batch_of([record_line(number, item) for number, item in enumerate(said, start=1)])
    assert [note.line for note in batch.leaves.notes] == [1, 3, 6, 8]


def interrupted_call(call):
    return a_tool_call(id=call.id, outcome=ToolOutcome.INTERRUPTED, status_code=0)


def test_of_two_rows_with_one_id_the_second_is_noted():
    record = a_record(1)
    batch = batch_of([record_line(1, record), RECORDS[1], record_line(3, record)])
    assert [note.line for note in batch.leaves.notes] == [3]


def test_without_a_seal_there_is_neither_leaf_nor_place():
    batch = Assembly("sidecar-1").batch(b"".join(LINES), Place(0, 1, None), 100)
    assert batch.leaves == Leaves()
    places = [row.seq for row in batch.records]
    places += [row.seq for row in batch.invocations]
    assert {*places, *(gap.seq for gap in batch.gaps)} == {None}


@given(st.data())
def test_leaves_are_the_same_however_the_log_is_cut(data):
    lines = data.draw(st.sampled_from([LINES, RECORDS]))
    kept = sorted(data.draw(st.sets(st.integers(0, 39), min_size=1)))
    first = data.draw(st.integers(1, 40))
    text = b"".join(lines[at] for at in kept)
    whole = batch_of([text], first=first)

    pieces = Batch(end=0, next_number=1, first_number=1, moment=START)
    while pieces.end < len(text):
        # Another assembly each time, as after a kill.
        assembly = Assembly("sidecar-1", Sealing(7, first))
        size = data.draw(st.integers(1, 9))
        pieces.go_on_with(assembly.batch(text[pieces.end :], pieces.following, size))
    runs = _alike_together(pieces.leaves.notes)
    assert runs == _alike_together(whole.leaves.notes)
    pieces.leaves.notes = whole.leaves.notes
    assert pieces == whole
    assert len(whole.leaves.hashes) == max(kept[-1] + 2 - first, 0)


def _alike_together(notes):
    return {line: note.data for note in notes for line in range(note.line, note.line + note.count)}
