"""Messages: how what the writer writes is packed, and known again."""

import msgspec
import pytest

from audit_log.errors import RecordRefusedError
from audit_log.nats.messages import MAX_PAYLOAD_BYTES, items_of, messages
from audit_log.record import Gap, RecordRow, new_record_id
from tests.neighbours.journal import BEGINNING, a_record
from tests.neighbours.records import a_tool_call, as_records


class OlderRow(msgspec.Struct):
    """What an ingest of an earlier version reads, which knows no seal."""

    id: str
    path: str
    token_hash: str | None = None


def a_gap(**values):
    return Gap(
        id=new_record_id(),
        started_at=BEGINNING,
        ended_at=BEGINNING,
        count=1,
        reason="x",
        instance="here",
        **values,
    )


def unpacked(message):
    items = items_of("record", message.payload)
    return as_records(item for item in items if isinstance(item, RecordRow))


def test_what_was_packed_is_unpacked_as_it_was():
    records = [a_record(number, token_hash="a" * 64, token_name=None) for number in range(3)]

    [message] = messages("record", records)

    assert unpacked(message) == records


def test_what_a_newer_sidecar_adds_is_no_obstacle():
    [message] = messages("record", [a_record()])
    newer = message.payload.replace(b"[{", b'[{"of_tomorrow":{"a":1},')

    assert len(items_of("record", newer)) == 1


def test_places_in_the_seal_travel_along_and_an_older_ingest_reads_on():
    placed = a_record(seq=3, log=-7)
    calls, gaps = [a_tool_call(seq=4, log=-7)], [a_gap(seq=5, log=-7)]
    [message] = messages("record", [placed])

    assert unpacked(message) == [placed]
    assert list(items_of("invocation", messages("invocation", calls)[0].payload)) == calls
    assert list(items_of("gap", messages("gap", gaps)[0].payload)) == gaps
    [older] = msgspec.json.decode(message.payload, type=list[OlderRow])
    assert older.id == str(placed.id)


def test_nothing_is_no_message():
    assert messages("gap", []) == []


def test_a_large_batch_becomes_several_messages_none_of_which_is_too_large():
    records = [a_record(number, path="/" + "x" * 2_000) for number in range(500)]

    packed = messages("record", records)

    assert len(packed) > 1
    assert all(len(message.payload) <= MAX_PAYLOAD_BYTES for message in packed)
    assert [record for message in packed for record in unpacked(message)] == records


def test_a_message_carries_the_id_of_its_first_record():
    records = [a_record(number) for number in range(3)]

    [message] = messages("record", records)

    assert message.id.startswith(str(records[0].id))


def test_the_same_message_is_known_again_and_one_that_goes_on_otherwise_is_not():
    records = [a_record(number) for number in range(3)]

    [once], [again] = messages("record", records), messages("record", records)
    [shorter] = messages("record", records[:2])

    assert once.id == again.id
    assert once.id != shorter.id


def test_a_text_that_json_cannot_carry_is_refused():
    with pytest.raises(RecordRefusedError, match="surrogate"):
        messages("record", [a_record(path="/\ud800")])


@pytest.mark.parametrize("payload", [b"", b"[{}]", b"\xff", b"[" * 10_000, b"{}"])
def test_what_is_no_message_is_refused(payload):
    with pytest.raises(RecordRefusedError, match="cannot be read"):
        items_of("record", payload)
