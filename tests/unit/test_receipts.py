"""Receipts: which messages arrived, in whatever order they are told."""

import pytest

from audit_log.nats.messages import Message
from audit_log.nats.receipts import FIELD, Receipts, receipt_for, subject_of

STORE = "7 00000001 audit"


@pytest.fixture
def receipts():
    return Receipts(pace_seconds=0)


def published(receipts, *ids):
    """The fields by which receipts are asked for, of messages with these ids."""
    return [receipts.stamped(Message("record", id_, b"[]")).fields[FIELD] for id_ in ids]


def take(receipts, *asked, store=STORE):
    for field in asked:
        receipts.take(receipt_for(field, store, had=None))


def test_messages_have_arrived_up_to_the_first_that_has_not(receipts):
    first, second, third = published(receipts, "a", "b", "c")
    take(receipts, third, first)
    assert (receipts.arrived, receipts.is_missing) == (1, True)
    take(receipts, second)
    assert (receipts.arrived, receipts.is_missing) == (3, False)
    assert receipts.store == STORE


def test_while_nothing_later_has_arrived_nothing_is_missing(receipts):
    published(receipts, "a", "b")
    assert not receipts.is_missing


def test_a_message_that_was_never_confirmed_is_not_waited_for(receipts):
    message = Message("record", "a", b"[]")
    receipts.note_failed(message, receipts.stamped(message))
    [half] = published(receipts, "half of a")
    take(receipts, half)
    assert (receipts.arrived, receipts.is_missing) == (2, False)


def test_a_message_that_is_tried_again_keeps_its_number_and_its_id(receipts):
    message = Message("record", "a", b"[]")
    first = receipts.stamped(message)
    receipts.note_failed(message, first)
    assert receipts.stamped(message) == first


def test_after_a_loss_the_same_items_are_no_duplicate_for_the_stream(receipts):
    message = Message("record", "a", b"[]")
    before = receipts.stamped(message)
    receipts.forget()
    after = receipts.stamped(message)
    assert after.id != before.id
    assert receipts.arrived == 1


def test_a_receipt_of_another_run_or_without_sense_changes_nothing(receipts):
    published(receipts, "a")
    receipts.take(b"nonsense")
    receipts.take(b'{"number": 5}')
    receipts.take(b'{"number": "1"}')
    assert receipts.arrived == 0


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "$JS.API.STREAM.DELETE.podwarden_audit",
        "0123456789abcdef",
        "0123456789abcdef.1.2",
        "0123456789abcdef.1\n",
        "*.1",
        "0123456789ABCDEF.1",
        "0123456789abcdef.9999999999999999999",
    ],
)
def test_a_sidecar_cannot_choose_where_an_ingest_publishes(asked):
    assert subject_of(asked) is None


def test_probes_become_rare_while_nothing_comes_back():
    receipts = Receipts(pace_seconds=1_000)
    assert receipts.probe() is None
    probe = receipts.probe()
    assert probe is not None
    receipts.stamped(probe)
    assert receipts.probe() is None
