import re

from proxy.mcp.trace import NO_IDS, ids_to_add, trace_id_of, travel_ids_of
from tests.unit.heads import head_with

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_traceparent_holds_a_trace_id():
    assert trace_id_of(f"00-{TRACE}-b7ad6b7169203331-01") == TRACE
    assert trace_id_of(f" 00-{TRACE}-b7ad6b7169203331-01\t") == TRACE
    assert trace_id_of(f"cc-{TRACE}-b7ad6b7169203331-01-what-comes-later") == TRACE


def test_what_is_no_traceparent_holds_none():
    for value in (
        "", TRACE, f"00-{TRACE}-b7ad6b7169203331", f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{TRACE}-b7ad6b7169203331-01x",
    ):  # fmt: skip
        assert trace_id_of(value) is None, value


def test_the_ids_of_a_request_are_its_trace_and_its_request_id():
    fields = {"Traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "X-Request-ID": "r"}

    assert travel_ids_of(head_with(**fields)) == {TRACE, "r"}
    assert travel_ids_of(head_with()) == NO_IDS
    assert travel_ids_of(head_with(traceparent="nonsense")) == NO_IDS


def test_ids_are_made_for_the_fields_that_the_client_did_not_send():
    ids, fields = ids_to_add(head_with())
    names = {name: value.decode() for name, value in fields}

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", names[b"traceparent"])
    assert ids == {trace_id_of(names[b"traceparent"]), names[b"X-Request-Id"]}
    assert ids.isdisjoint(ids_to_add(head_with())[0])


def test_what_the_client_sent_is_left_alone():
    _, fields = ids_to_add(head_with(**{"X-REQUEST-ID": ""}))
    assert [name for name, _ in fields] == [b"traceparent"]

    both = {"traceparent": "nonsense", "x-request-id": "r"}
    assert ids_to_add(head_with(**both)) == (NO_IDS, [])
