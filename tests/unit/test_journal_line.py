"""Lines: what is written can be read by people and machines, and nothing else is believed."""

import json
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.record import Event, Gap, Origin, ToolOutcome, new_record_id
from proxy.audit.tool_span import TracedInvocation
from proxy.journal.line import MAX_LINE_BYTES, parse, split
from proxy.journal.line_text import event_line, gap_line, record_body, record_line
from proxy.mcp.agents.claims import MAX_CLAIM_BYTES
from tests.neighbours.journal import BEGINNING, a_record
from tests.neighbours.records import as_records

texts = st.text(st.characters(), max_size=4_000)


def test_a_record_comes_back_as_it_was():
    record = a_record(user_agent='a "quoted" agent', token_id=new_record_id(), duration_ms=1.5)
    line = record_line(17, record)
    said = parse(line.removesuffix(b"\n"))
    assert said is not None
    assert said.n == 17
    assert said.record is not None
    assert as_records([said.record]) == [record]
    assert said.gap is None


def test_a_gap_comes_back_as_it_was():
    gap = Gap(
        id=new_record_id(),
        started_at=BEGINNING,
        ended_at=BEGINNING,
        count=None,
        reason="head_lost",
        instance="a",
    )
    said = parse(gap_line(3, gap).removesuffix(b"\n"))
    assert said is not None
    assert said.gap == gap


def test_an_event_comes_back_as_it_was():
    event = Event(id=new_record_id(), at=BEGINNING, name="start", details={"version": "0.2"})
    line = event_line(4, event)
    said = parse(line.removesuffix(b"\n"))
    assert said is not None
    assert (said.n, said.event, said.moment) == (4, event, BEGINNING)
    assert json.loads(line)["event"]["details"] == {"version": "0.2"}


def test_an_event_that_is_longer_than_a_line_is_refused():
    details = {"settings": "x" * MAX_LINE_BYTES}
    with pytest.raises(ValueError, match="too long"):
        event_line(4, Event(id=new_record_id(), at=BEGINNING, name="settings", details=details))


def test_a_line_of_two_kinds_is_damaged():
    record = record_line(1, a_record())[17:-2]
    event = event_line(1, Event(id=new_record_id(), at=BEGINNING, name="stop"))[24:-2]
    rest = record + event + b"}"
    assert parse(b'{"crc":"%08x"%b' % (crc32(rest), rest)) is None


def test_a_line_is_one_json_object_that_any_tool_reads():
    record = a_record(path="/api/\n\u2028é")
    line = record_line(5, record)
    assert line.count(b"\n") == 1
    said = json.loads(line)
    assert (said["n"], said["record"]["path"]) == (5, "/api/\n\u2028é")


@given(number=st.integers(min_value=1), path=texts)
def test_the_checksum_is_of_all_behind_it_in_eight_digits(number, path):
    line = record_line(number, a_record(path=path)).removesuffix(b"\n")
    digits, rest = line[8:16], line[17:]
    assert line == b'{"crc":"%b"%b' % (digits, rest)
    assert (digits, rest[:5]) == (b"%08x" % crc32(rest), b',"n":')
    assert json.loads(line)["n"] == number


@given(position=st.integers(min_value=0), value=st.integers(0, 255))
def test_a_line_with_one_changed_byte_is_not_believed(position, value):
    line = bytearray(record_line(17, a_record()).removesuffix(b"\n"))
    position %= len(line)
    changed = line[position] != value
    line[position] = value
    assert (parse(bytes(line)) is None) == changed


@given(st.binary(max_size=300))
def test_bytes_that_are_no_line_are_not_believed(noise):
    assert parse(noise) is None


@pytest.mark.parametrize(
    "body",
    [b'"record":{}', b'"invocation":{}', b'"record":null', b'"record":' + b"[" * 5_000],
)
def test_a_line_with_a_good_checksum_and_wrong_content_is_not_believed(body):
    rest = b',"n":1,' + body + b"}"
    assert parse(b'{"crc":"%08x"%b' % (crc32(rest), rest)) is None


@given(path=texts, user_agent=texts, request_id=texts)
def test_every_record_fits_whatever_its_texts_are(path, user_agent, request_id):
    record = a_record(path=path, user_agent=user_agent, request_id=request_id)
    line = record_line(1, record)
    said = parse(line.removesuffix(b"\n"))
    assert said is not None
    assert said.record is not None
    assert said.record.id == str(record.id)
    assert len(line) <= MAX_LINE_BYTES
    assert len(record_body(record, 4_000)) <= 4_000


def test_texts_are_cut_only_when_they_must_be():
    longest = a_record(path="/" + "p" * 2_047, user_agent="u" * 256, request_id="r" * 128)
    assert len(record_body(longest, 4_000)) > 2_431
    said = parse(record_line(1, longest).removesuffix(b"\n"))
    assert said is not None
    assert said.record is not None
    assert as_records([said.record]) == [longest]


def test_half_a_surrogate_pair_is_kept_as_an_escape():
    said = parse(record_line(1, a_record(path="/a\udcff")).removesuffix(b"\n"))
    assert said is not None
    assert said.record is not None
    assert said.record.path == "/a\\udcff"


@given(st.binary(max_size=200))
def test_splitting_loses_no_byte(data):
    assert b"\n".join(split(data, 1_000)) == data.removesuffix(b"\n")


@given(st.binary(max_size=200), st.integers(min_value=1, max_value=5))
def test_of_many_lines_the_first_are_split_off(data, count):
    assert split(data, count) == split(data, 1_000)[:count]


@pytest.mark.parametrize("character", ["a", '"', "\U0001f600", "\x01"])
def test_every_tool_call_fits_into_a_slot_whatever_its_texts_are(character):
    text = character * 4_000
    call = TracedInvocation(
        id=new_record_id(),
        created_at=BEGINNING,
        tool=text,
        outcome=ToolOutcome.INTERRUPTED,
        status_code=0,
        origin=Origin.MCP,
        instance=text,
        token_id=new_record_id(),
        token_name=text,
        token_hash="f" * 64,
        client_ip="2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        request_id=text,
        session=new_record_id(),
        protocol_version=text,
        client_name=text,
        client_version=text,
        user_agent=text,
        principal=text,
        claims={"n": "c" * (MAX_CLAIM_BYTES - len('{"n":""}'))},
        traceparent=text,
        tracestate=text,
        linked=text,
        rpc_id=text,
    )
    assert len(record_body(call, 4_000)) <= 4_000
