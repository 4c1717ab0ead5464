import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.mcp.budget import RESPONSE, Budget
from proxy.mcp.event_stream import EventStream
from proxy.mcp.json_stream import JsonStream

WANTED = frozenset({("id",), ("result",)})
NOTE = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"id":3}}'
ANSWER = '{"jsonrpc":"2.0","id":1,"result":{"isError":false}}'
FOUND = [{}, {("id",): 1, ("result",): True}]


def reader(words=(b"{",)):
    found: list[dict[tuple[str, ...], object]] = []
    budget = Budget(RESPONSE._replace(free=100_000))
    messages = JsonStream(WANTED, lambda values: found.append(dict(values)), budget)
    stream = EventStream(messages, budget, words)
    return stream, found


def read(*pieces):
    stream, found = reader()
    for piece in pieces:
        stream.feed(piece)
    return found


def events(end, *, space=" "):
    lines = [": ping", "", "event: message", "id: 7", f"data:{space}{NOTE}", "", "retry: 5"]
    lines += ["data", f"data:{space}{ANSWER}", "", ""]
    return end.join(lines).encode()


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("space", ["", " "])
def test_the_data_of_each_event_is_read_whatever_ends_its_lines(end, space):
    assert read(events(end, space=space)) == FOUND


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_stream_may_be_split_at_any_byte(end):
    wire = events(end)

    assert read(*(wire[at : at + 1] for at in range(len(wire)))) == FOUND
    for at in range(len(wire)):
        assert read(wire[:at], wire[at:]) == FOUND


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_data_may_go_over_several_lines(end):
    lines = json.dumps(json.loads(ANSWER), indent=1).splitlines()
    wire = end.join([*(f"data: {line}" for line in lines), "", ""]).encode()

    assert read(wire) == read(*(wire[at : at + 1] for at in range(len(wire)))) == FOUND[1:]


def test_what_is_no_json_does_not_concern_the_next_event():
    wire = f"data: {{nonsense\n\ndata: {ANSWER}\n\n".encode()

    assert read(wire) == FOUND[1:]


def test_an_event_that_is_not_ended_before_the_next_is_not_believed():
    wire = f'data: {{"id":1,\n\ndata: {ANSWER}\n\n'.encode()

    assert read(wire) == FOUND[1:]


@pytest.mark.parametrize(
    ("wire", "expected"),
    [(b"id: 7\n", True), (b"id:\r\n", True), (b"idle: 7\ndata: id:\n", False)],
)
def test_it_is_noted_whether_events_have_ids(wire, expected):
    stream, _ = reader()
    for at in range(len(wire)):
        stream.feed(wire[at : at + 1])

    assert stream.has_ids is expected


@pytest.mark.parametrize("first", ["data", "id", ": ping"])
def test_a_byte_order_mark_before_the_first_line_is_passed_over(first):
    line = f"data: {ANSWER}\n\n" if first == "data" else f"{first}: 7\ndata: {ANSWER}\n\n"
    wire = b"\xef\xbb\xbf" + line.encode()

    assert read(wire) == read(*(wire[at : at + 1] for at in range(len(wire)))) == FOUND[1:]
    stream, _ = reader()
    stream.feed(wire)
    assert stream.has_ids is (first == "id")


def test_a_byte_order_mark_counts_only_at_the_begin_of_the_stream():
    assert read(b"\n\xef\xbb\xbfdata: " + ANSWER.encode() + b"\n\n") == []


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_any_bytes_are_passed_over(pieces):
    read(*pieces)
