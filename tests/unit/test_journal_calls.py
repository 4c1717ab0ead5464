"""Calls in flight: one slot each."""

from itertools import pairwise

import pytest

from audit_log.record import new_record_id
from proxy.audit.shares import Share, Standing
from proxy.journal.calls import (
    MAX_REGIONS,
    SLOT_BYTES,
    SLOTS_PER_REGION,
    STRANGERS_SLOTS,
    Calls,
)
from proxy.journal.journal_error import RingDamagedError
from tests.neighbours.journal import a_record


@pytest.fixture
def calls(tmp_path):
    calls = Calls.open(tmp_path / "a.calls")
    yield calls
    calls.close()


def found(calls):
    again = Calls.open(calls.path)
    records = [record for _, record in again.taken()]
    again.close()
    return records


def test_a_call_in_flight_is_found_after_the_process_is_gone(calls):
    ended, open_call = a_record(1), a_record(2, path="/é" * 600)
    calls.end(calls.begin(ended))
    calls.begin(open_call)
    assert found(calls) == [open_call]
    assert calls.in_flight == 1


def test_slots_are_used_again(calls):
    for number in range(3 * SLOTS_PER_REGION):
        slot = calls.begin(a_record(number))
        assert slot >= 0
        calls.end(slot)
    assert found(calls) == []


def test_without_a_free_slot_the_call_is_told_so(calls):
    slots = [calls.begin(a_record()) for _ in range(SLOTS_PER_REGION)]
    assert sorted(slots) == list(range(SLOTS_PER_REGION))
    assert calls.begin(a_record()) == -1


def test_a_slot_whose_record_changes_holds_one_of_the_two_at_each_moment(calls):
    records = [a_record(number) for number in range(4)]
    slot = calls.begin(records[0])
    mark_at = slot * SLOT_BYTES
    for before, after in pairwise(records):
        mark = calls.path.read_bytes()[mark_at : mark_at + 8]
        calls.change(slot, after)
        assert found(calls) == [after]

        killed = bytearray(calls.path.read_bytes())
        killed[mark_at : mark_at + 8] = mark  # as if the kill came before the new mark
        copy = calls.path.with_name("killed.calls")
        copy.write_bytes(killed)
        again = Calls.open(copy)
        assert [record for _, record in again.taken()] == [before]
        again.close()


def test_a_record_of_more_than_half_a_slot_takes_the_place_of_another(calls):
    short, long = a_record(1), a_record(2, path="/" + "x" * 2_040, user_agent="y" * 250)
    slot = calls.begin(short)
    for record in (long, short, short, long):
        calls.change(slot, record)
        assert found(calls) == [record]
    calls.end(slot)
    assert found(calls) == []


def add_when_short(calls):
    if calls.is_short:
        calls.add_region()


def test_slots_are_added_before_they_run_out_up_to_a_bound(calls):
    slots = set()
    for _ in range(MAX_REGIONS * SLOTS_PER_REGION):
        add_when_short(calls)
        slots.add(calls.begin(a_record()))
    add_when_short(calls)
    assert calls.begin(a_record()) == -1
    assert len(slots) == MAX_REGIONS * SLOTS_PER_REGION
    assert len(found(calls)) == len(slots)


def test_the_longest_call_with_a_plain_path_is_kept_whole(calls):
    record = a_record(
        path="/" + "p" * 2_047,
        user_agent="u" * 256,
        request_id="r" * 128,
        token_hash="0" * 64,
        invocation_id=new_record_id(),
    )
    calls.begin(record)
    assert found(calls) == [record]


def test_a_call_that_is_longer_than_a_slot_is_kept_shortened(calls):
    record = a_record(path="/" + "\x01" * 2_047)
    calls.begin(record)
    [kept] = found(calls)
    assert kept.id == record.id
    assert record.path.startswith(kept.path)


def test_a_damaged_slot_is_nobodys_call(calls):
    calls.begin(a_record(1))
    slot = calls.begin(a_record(2))
    with calls.path.open("r+b") as file:
        file.seek(slot * SLOT_BYTES + 20)
        file.write(b"\xff")
    [kept] = found(calls)
    assert kept.path == a_record(1).path


def test_a_file_that_holds_no_slots_is_refused(tmp_path):
    (tmp_path / "a.calls").write_bytes(b"x" * 100)
    with pytest.raises(RingDamagedError):
        Calls.open(tmp_path / "a.calls")


def begin_all(calls, share, at_most):
    """Begin calls of *share*, adding slots meanwhile; return how many were protected."""
    count = 0
    for _ in range(at_most):
        add_when_short(calls)
        count += calls.begin(a_record(), share) >= 0
    return count


def test_callers_that_are_not_known_have_a_small_part_of_the_slots(calls):
    for number in range(20):
        begin_all(calls, Share(f"invented {number}", Standing.UNKNOWN), 1_000)

    assert calls.in_flight <= STRANGERS_SLOTS
    assert begin_all(calls, Share("anna", Standing.KNOWN), 5_000) == 5_000


def test_a_known_caller_leaves_room_for_the_next(calls):
    total = MAX_REGIONS * SLOTS_PER_REGION

    assert begin_all(calls, Share("anna", Standing.KNOWN), total) == total // 2
    assert begin_all(calls, Share("bob", Standing.KNOWN), total) == total // 4


def test_strangers_leave_a_slot_to_known_callers_while_none_can_be_added(calls):
    for number in range(2 * SLOTS_PER_REGION):
        calls.begin(a_record(), Share(f"invented {number}", Standing.UNRESOLVED))

    assert calls.begin(a_record(), Share("anna", Standing.KNOWN)) >= 0


def test_a_share_is_given_back_with_its_slot(calls):
    share = Share("invented", Standing.UNKNOWN)
    for _ in range(2 * STRANGERS_SLOTS):
        calls.end(calls.begin(a_record(), share))

    assert begin_all(calls, share, STRANGERS_SLOTS) == STRANGERS_SLOTS // 2
