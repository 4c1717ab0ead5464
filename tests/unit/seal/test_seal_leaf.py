"""Leaf data: the same bytes for ever and on every Python, because hashes of them were signed."""

import re
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv6Address
from struct import pack, unpack
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.record import Event, Gap, Invocation, Origin, RecordRow, ToolOutcome
from audit_log.seal.float4 import float4_digits
from audit_log.seal.leaf import (
    entry_leaves,
    event_leaf,
    gap_leaf,
    quarantined_leaf,
    tool_call_leaf,
)

ID = UUID("01938e2a-7d2f-7000-8000-0123456789ab")
OTHER = UUID("01938e2a-7d2f-7000-8000-0123456789ac")
MOMENT = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
ROW = RecordRow(
    id=str(ID),
    created_at=MOMENT,
    method="GET",
    path='/api/"\\\n\x01é\U0001f680\u2028',
    status_code=200,
    outcome="completed",
    instance="sidecar-1",
    token_id=str(OTHER),
    token_name="laptop",
    duration_ms=21.1907,
    client_ip="2001:db8::7",
)
CALL = Invocation(
    id=ID,
    created_at=MOMENT,
    tool="list",
    outcome=ToolOutcome.OK,
    status_code=200,
    origin=Origin.MCP,
    instance="sidecar-1",
    token_name="laptop",
    claims={"z": 1e16, "a": 1.5, "é": "x", "b": 7, "n": -0.0},
)
GAP = Gap(id=ID, started_at=MOMENT, ended_at=MOMENT, count=None, reason="x", instance="here")


def entry_of(**values):
    [data] = entry_leaves([msgspec.structs.replace(ROW, **values)])
    return data


def test_an_entry_is_this():
    assert (
        entry_of()
        == (
            '["entry","01938e2a-7d2f-7000-8000-0123456789ab","2026-11-24T12:00:00.123456Z","GET",'
            '"/api/\\"\\\\\\n\\u0001é\U0001f680\u2028",200,"completed","sidecar-1",'
            '"01938e2a-7d2f-7000-8000-0123456789ac","laptop","41a9868e",'
            '"20010db8000000000000000000000007",null,null,null,null,null]'
        ).encode()
    )


def test_a_tool_call_is_this():
    assert (
        tool_call_leaf(CALL)
        == (
            '["tool_call","01938e2a-7d2f-7000-8000-0123456789ab","2026-11-24T12:00:00.123456Z",'
            '"list","ok",200,"mcp","sidecar-1",null,"laptop",null,0,null,1,null,null,null,null,null,'
            'null,null,null,{"a":1.5,"b":7,"n":0.0,"z":10000000000000000,"é":"x"}]'
        ).encode()
    )


def test_gaps_events_and_quarantined_items_are_these():
    assert gap_leaf(GAP) == (
        b'["gap","01938e2a-7d2f-7000-8000-0123456789ab","2026-11-24T12:00:00.123456Z",'
        b'"2026-11-24T12:00:00.123456Z",null,"x","here"]'
    )
    event = Event(
        id=ID, at=MOMENT.replace(microsecond=0), name="start", details={"b": "", "a": "1"}
    )
    assert event_leaf(event) == (
        b'["event","01938e2a-7d2f-7000-8000-0123456789ab","2026-11-24T12:00:00Z","start",'
        b'{"a":"1","b":""}]'
    )
    assert quarantined_leaf(b"\x01" * 32) == b'["quarantined","%b"]' % (b"01" * 32)


def test_an_unnamed_item_has_digits_of_its_hash_instead_of_a_name():
    unnamed = entry_of(token_id=None, token_name=None, token_hash="0123456789abcdef")
    assert b'"sidecar-1",null,null,' in unnamed
    assert unnamed.endswith(b',null,"01234567"]')
    call = msgspec.structs.replace(CALL, token_name=None, token_hash="0123456789abcdef")
    assert tool_call_leaf(call).endswith(b',"01234567"]')


def test_a_row_among_others_has_the_leaf_that_it_has_alone():
    rows = [
        msgspec.structs.replace(ROW, token_name=None, token_hash="a" * 64),
        msgspec.structs.replace(ROW, duration_ms=None),
        msgspec.structs.replace(ROW, created_at=MOMENT.astimezone(timezone(timedelta(hours=3)))),
        ROW,
    ]
    assert entry_leaves(rows) == [entry_leaves([row])[0] for row in rows]
    assert entry_leaves(rows)[2] == entry_leaves(rows)[3]
    assert entry_leaves([]) == []


@given(st.ip_addresses(v=4))
def test_ipv4_inside_ipv6_has_one_spelling(address):
    mapped = IPv6Address((0xFFFF << 32) + int(address))
    high, low = divmod(int(address), 1 << 16)
    spellings = [f"::ffff:{address}", f"::FFFF:{high:x}:{low:x}", str(mapped), mapped.exploded]
    leaves = {entry_of(client_ip=text) for text in spellings}
    assert len(leaves) == 1
    assert entry_of(client_ip=str(address)) not in leaves


@pytest.mark.parametrize("text", ["", "not an address", "1.2.3.4/8", "::1/64", "1.2.3", ":"])
def test_a_text_that_is_no_address_is_kept_as_it_is(text):
    assert f',"{text}",null'.encode() in entry_of(client_ip=text)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_real_is_itself(value):
    assert float4_digits([value]) == [pack(">f", value).hex()]


@given(st.floats(1e-30, 1e30))
def test_a_duration_is_the_nearest_real(value):
    [digits] = float4_digits([value])
    [real] = unpack(">f", bytes.fromhex(digits))
    [bits] = unpack(">I", bytes.fromhex(digits))
    neighbours = [unpack(">f", pack(">I", bits + step))[0] for step in (-1, 1)]
    assert all(abs(real - value) <= abs(neighbour - value) for neighbour in neighbours)


def test_half_way_the_decimal_text_decides_as_postgresql_reads_it():
    # The shortest text of a double that lies between two reals: 9007199791611905 is one, exactly.
    half_way = 2.0**53 + 2.0**29
    assert re.fullmatch(r"9\d+\.0", repr(half_way))
    assert float4_digits([half_way, 1.0]) == ["5a000000", "3f800000"]
    assert float4_digits([16777217.0, 16777219.0]) == ["4b800000", "4b800002"]


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (0.0, "00000000"),
        (-0.0, "80000000"),
        (1e39, "7f800000"),
        (float("inf"), "7f800000"),
        (float("nan"), "7fc00000"),
        (1.4e-45, "00000001"),
        (1e-300, "00000000"),
    ],
)
def test_what_postgresql_refuses_or_hardly_keeps_raises_nothing(value, digits):
    assert float4_digits([value]) == [digits]


@pytest.mark.parametrize("claims", ["[]", "1", '"x"', "{", "[[", '{"a":[1,{"b":null}],"c":true}'])
def test_claims_that_are_none_of_ours_raise_nothing(claims):
    assert tool_call_leaf(CALL, claims) != tool_call_leaf(CALL)


def test_claims_are_the_same_as_jsonb_gives_them_back():
    stored = '{"a": 1.5, "b": 7, "n": 0.0, "z": 10000000000000000, "é": "x"}'
    assert tool_call_leaf(CALL, stored) == tool_call_leaf(CALL)
