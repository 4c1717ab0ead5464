import re

import pytest

from proxy.http.fields import with_field
from proxy.mcp.trace import (
    MAX_BAGGAGE_BYTES,
    MAX_BAGGAGE_MEMBERS,
    NO_IDS,
    ids_of_the_client,
    ids_to_add,
    names_a_call,
    names_a_trace,
    trace_id_of,
    travel_ids_of,
)
from tests.unit.heads import head_with

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
CALL = "5" * 32


def test_a_traceparent_holds_a_trace_id():
    assert trace_id_of(TRACEPARENT) == f"trace {TRACE}"
    assert trace_id_of(f" {TRACEPARENT}\t") == f"trace {TRACE}"
    assert trace_id_of(f"cc-{TRACE}-b7ad6b7169203331-01-what-comes-later") == f"trace {TRACE}"


def test_what_is_no_traceparent_holds_none():
    for value in (
        "", TRACE, f"00-{TRACE}-b7ad6b7169203331", f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{TRACE}-b7ad6b7169203331-01x",
    ):  # fmt: skip
        assert trace_id_of(value) is None, value


def test_the_ids_of_a_request_are_in_its_baggage_its_trace_and_its_request_id():
    fields = {"Traceparent": TRACEPARENT, "X-Request-ID": "r"}
    head = head_with(Baggage=f"user=anna;p=1, podwarden.call={CALL},x=y", **fields)

    assert travel_ids_of(head) == {f"call {CALL}", f"trace {TRACE}", "request r"}
    assert ids_of_the_client(head) == {f"trace {TRACE}", "request r"}
    assert travel_ids_of(head_with()) == NO_IDS
    assert travel_ids_of(head_with(traceparent="nonsense", baggage="nonsense")) == NO_IDS


@pytest.mark.parametrize(
    "baggage",
    [
        f"podwarden.call={CALL}",
        f"a=b , podwarden.call = {CALL} ;p;q=1 , c=d",
        f",,podwarden.call={CALL},",
    ],
)
def test_our_member_is_found_wherever_it_is_in_the_baggage(baggage):
    assert travel_ids_of(head_with(baggage=baggage)) == {f"call {CALL}"}
    assert travel_ids_of(head_with(baggage="a=b", Baggage=baggage)) == {f"call {CALL}"}


@pytest.mark.parametrize(
    "baggage",
    [f"xpodwarden.call={CALL}", f"podwarden.call={CALL}0", "podwarden.call=x", f"a={CALL}"],
)
def test_what_is_not_our_member_is_none(baggage):
    assert travel_ids_of(head_with(baggage=baggage)) == NO_IDS


def test_kinds_of_ids_are_told_apart():
    assert names_a_call(frozenset({"call 1"}))
    assert not names_a_call(frozenset({"trace 1", "request 1"}))
    assert names_a_trace(frozenset({"trace 1"}))
    assert not names_a_trace(frozenset({"call 1", "request 1"}))


def test_a_tool_call_is_sent_a_member_of_baggage_and_a_request_id():
    ids, fields = ids_to_add(head_with())

    assert [name for name, _ in fields] == [b"baggage", b"X-Request-Id"]
    assert re.fullmatch(rb"podwarden\.call=[0-9a-f]{32}", fields[0][1])
    sent = head_with(**{name.decode(): value.decode() for name, value in fields})
    assert travel_ids_of(sent) == ids
    assert ids.isdisjoint(ids_to_add(head_with())[0])


def test_a_traceparent_is_added_where_that_is_wanted_and_is_not_sampled():
    ids, fields = ids_to_add(head_with(), with_traceparent=True)
    traceparent = dict(fields)[b"traceparent"].decode()

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", traceparent)
    assert trace_id_of(traceparent) in ids


def test_what_the_client_sent_is_left_alone():
    both = head_with(**{"TraceParent": "nonsense", "X-REQUEST-ID": ""})
    _, fields = ids_to_add(both, with_traceparent=True)

    assert [name for name, _ in fields] == [b"baggage"]


@pytest.mark.parametrize(
    ("baggage", "has_room"),
    [
        ("a=" + "x" * (MAX_BAGGAGE_BYTES - 2 - 48), True),
        ("a=" + "x" * (MAX_BAGGAGE_BYTES - 2 - 47), False),
        (",".join(["a=b"] * (MAX_BAGGAGE_MEMBERS - 1)), True),
        (",".join(["a=b"] * MAX_BAGGAGE_MEMBERS), False),
    ],
)
def test_baggage_that_would_be_too_large_is_left_alone(baggage, has_room):
    ids, fields = ids_to_add(head_with(baggage=baggage))

    assert (b"baggage" in dict(fields)) is has_room
    assert names_a_call(ids) is has_room


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        (b"A: b\r\n", b"A: b\r\nbaggage: m\r\n"),
        (b"", b"baggage: m\r\n"),
        (b"Baggage: x=y \r\nA: b\r\n", b"Baggage: x=y,m\r\nA: b\r\n"),
        (b"A: b\r\nbaggage:\r\nBaggage: z\r\n", b"A: b\r\nbaggage: m\r\nBaggage: z\r\n"),
        (b"X: baggage: q\r\nxbaggage: r\r\n", b"X: baggage: q\r\nxbaggage: r\r\nbaggage: m\r\n"),
    ],
)
def test_a_member_joins_the_first_line_of_its_field(lines, joined):
    """OpenTelemetry for Python reads no other line."""
    assert with_field(lines, b"baggage", b"m") == joined
