"""What it costs to read a body is bounded by its size, and real bodies are read to their end.

Cost is counted in calls of functions, those in C as well, so that it is the same on each machine.
"""

import gzip
import json
import random
import sys
import zlib
from collections.abc import Callable
from functools import cache

import brotli
import pytest

from proxy.audit.tally import Tally
from proxy.http.fields import Fields
from proxy.http.response import ResponseHead
from proxy.hub.direction import TunnelMessages
from proxy.hub.frames import FrameReader
from proxy.hub.shapes import wanted_paths
from proxy.mcp.by_id import CallsByKey
from proxy.mcp.codings import PIECE_BYTES
from proxy.mcp.inflated import FREE_BYTES, MAX_RATIO, Inflated
from proxy.mcp.tool_exchange import MAX_TOOL_CALLS
from tests.unit.mcp_bench import OK, Bench, calling, respond

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MEGABYTE = 1_000_000
PIECE = 65_536
CALLS_PER_MEGABYTE = 40_000
"""A byte that costs a turn of a reader costs some millions. Free steps are among them."""
BEGIN = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":'
AROUND_OBJECTS = {
    "commas": b",",
    "opening brackets": b"[",
    "opening braces": b"{",
    "pairs of brackets": b"[]",
    "empty objects": b"{},",
    "spaces": b" ",
    "numbers": b"1,",
    "empty strings": b'"",',
    "literals": b"true,",
    "byte order marks": b"\xef\xbb\xbf",
    "pings": b'{"jsonrpc":"2.0","method":"ping","id":1},',
    "cancellations": b'{"method":"notifications/cancelled","params":{"requestId":1}},',
    "objects with keys": b'{"a":{"b":1}},',
}
INSIDE = {
    "keys": (b"{", b'"a":1,'),
    "wanted keys": (b"{", b'"id":1,'),
    "wanted objects": (b"{", b'"params":{},'),
    "empty arrays": (b"{", b'"a":[],'),
    "spaces before a key": (b"{", b" "),
    "spaces before a colon": (b'{"a"', b" "),
    "spaces before a value": (b'{"a":', b"\n"),
    "a long key": (b'{"', b"k"),
    "a long key of escapes": (b'{"', b"\\u0041"),
    "a long number": (b'{"id":', b"1"),
    "a long unwanted string": (b'{"x":"', b"x"),
    "a long wanted string of quotes": (b'{"method":"', b'\\"'),
    "strings with escapes": (b"{", b'"a":"\\"",'),
    "a long string": (BEGIN + b'"', b"x"),
    "escaped quotes": (BEGIN + b'"', b'\\"'),
    "backslashes": (BEGIN + b'"', b"\\\\"),
    "unicode escapes": (BEGIN + b'"', b"\\u0041"),
    "brackets in a string": (BEGIN + b'"', b"[{"),
    "empty strings": (BEGIN + b"[", b'"",'),
    "short strings": (BEGIN + b"[", b'"a",'),
    "strings with brackets": (BEGIN + b"[", b'"}",'),
    "nested arguments": (BEGIN, b"["),
    "nested objects": (BEGIN, b'{"a":'),
    "down and up": (BEGIN + b"[", b"[" * 30 + b"]" * 30 + b","),
    "far down and up": (BEGIN + b"[", b"[" * 3_000 + b"]" * 3_000 + b","),
    "pairs of brackets": (BEGIN + b"[", b"[],"),
    "nested empty arrays": (BEGIN + b"[", b"[[[]]],"),
    "small objects": (BEGIN + b"[", b'{"a":"b"},'),
    "numbers": (BEGIN + b"[", b"1,"),
    "white space in arguments": (BEGIN + b"[", b" \n"),
}
BODIES = {
    f"{name}, at the top": b"[" + unit * (MEGABYTE // len(unit))
    for name, unit in AROUND_OBJECTS.items()
} | {name: begin + unit * (MEGABYTE // len(unit)) for name, (begin, unit) in INSIDE.items()}


def cut(body, size=PIECE):
    return [body[at : at + size] for at in range(0, len(body), size)]


def calls_of(work, *arguments):
    """Return how many functions *work* calls."""
    count = 0

    def note(_frame, event, _argument):
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work(*arguments)
    finally:
        sys.setprofile(before)
    return count


def sent(body, size=PIECE, fields=None):
    """Return the bench after *body* was sent in pieces of *size*."""
    bench = Bench()
    exchange = bench.post(fields=fields)
    for piece in cut(body, size):
        exchange.request_content(piece)
    return bench


def tools(bench):
    return [record.tool for record in bench.recorded.begun.values()]


@pytest.mark.parametrize("shape", BODIES)
def test_a_megabyte_of_any_shape_costs_a_few_calls(shape):
    assert calls_of(sent, BODIES[shape]) < CALLS_PER_MEGABYTE


@pytest.mark.parametrize("shape", BODIES)
def test_a_response_of_any_shape_costs_a_few_calls(shape):
    exchange = Bench().post(calling("x"))
    reader = exchange.response_opened(ResponseHead(200, b"OK", Fields([])))

    assert calls_of(lambda: [reader(piece) for piece in cut(BODIES[shape])]) < CALLS_PER_MEGABYTE


@pytest.mark.parametrize("shape", BODIES)
def test_twice_as_much_of_any_shape_costs_at_most_twice_as_much(shape):
    body = BODIES[shape]
    half = calls_of(sent, body[: MEGABYTE // 2])

    assert calls_of(sent, body) < 2.2 * half + 500


@pytest.mark.parametrize("shape", BODIES)
def test_a_small_body_of_any_shape_costs_no_more_than_what_is_free(shape):
    assert calls_of(sent, BODIES[shape][:10_000]) < 20_000


def test_what_was_not_read_is_recorded_as_one_tool_call_that_is_unreadable():
    bench = sent(BODIES["keys"])

    assert tools(bench) == ["(unreadable)"]
    assert bench.tally.oddities == {"mcp_request_unreadable": 1}


@cache
def pods(count):
    chance = random.Random(0)
    return [
        {
            "kind": "Pod",
            "metadata": {"name": f"web-{number}", "labels": {"app": "web", "tier": "a]b"}},
            "spec": {"containers": [{"image": "nginx:1.25", "ports": [{"containerPort": 80}]}]},
            "usage": [chance.random(), number, True, None, 'a "quoted" \\ {{ template }}'],
        }
        for number in range(count)
    ]


def nested(depth):
    return {"a": nested(depth - 1), "b": [depth]} if depth else {}


ARGUMENTS: dict[str, Callable[[], object]] = {
    "objects": lambda: pods(5_000),
    "points": lambda: [{"x": number, "y": -number} for number in range(40_000)],
    "rows of a sheet": lambda: [["a", "", "", "b", "", 7]] * 20_000,
    "numbers": lambda: [number / 7 for number in range(100_000)],
    "a matrix": lambda: [[1, 2, 3]] * 40_000,
    "words": lambda: ["hello", "world", "a"] * 50_000,
    "nested": lambda: [nested(60)] * 20,
    "a file": lambda: '    if x:  # a "comment"\n\treturn {\'a\': "\\n"}\n' * 20_000,
    "a file in another alphabet": lambda: "Журнал аудита: «всё»\n" * 30_000,
    "JSON in a string": lambda: json.dumps(pods(5_000)),
    "JSON in JSON in a string": lambda: json.dumps(json.dumps(pods(2_000))),
    "a path of Windows": lambda: "C:\\Windows\\System32\\" * 40_000,
    "base64": lambda: "QUJDRA" * 200_000,
    "base64 in lines": lambda: ("QUJDRA" * 12 + "\r\n") * 15_000,
}


@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize("form", [{}, {"separators": (",", ":")}, {"indent": 4}])
def test_real_arguments_of_a_megabyte_are_read_to_their_end(kind, form):
    # What is behind the arguments is found only if the end of the arguments was.
    message = {
        "method": "tools/call",
        "params": {"arguments": ARGUMENTS[kind](), "name": "behind"},
    }
    body = json.dumps(message | {"id": 1}, **form).encode()

    for size in (PIECE, 16_000):
        bench = sent(body, size)
        assert tools(bench) == ["behind"]
        assert not bench.tally.oddities


def test_a_batch_of_as_many_tool_calls_as_are_recorded_is_read():
    meta = {"progressToken": 7, "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}
    batch = [
        calling(f"tool-{number}", arguments={"a": {"b": [number]}, "text": "x\n" * 20}, _meta=meta)
        for number in range(MAX_TOOL_CALLS)
    ]
    for indent in (None, 2):
        bench = sent(json.dumps(batch, indent=indent).encode())
        assert len(tools(bench)) == MAX_TOOL_CALLS
        assert not bench.tally.oddities


def test_a_batch_of_other_messages_is_read():
    others = [{"jsonrpc": "2.0", "id": number, "method": "ping"} for number in range(50)]
    bench = sent(json.dumps([*others, calling("behind")]).encode())

    assert tools(bench) == ["behind"]


def test_a_body_in_pieces_of_one_byte_is_read():
    body = json.dumps(calling("x" * 100, arguments={"text": 'a "b" \\ \n' * 300})).encode()

    assert tools(sent(body, 1)) == ["x" * 100]


@pytest.mark.parametrize("indent", [None, 2])
def test_the_end_of_arguments_is_found_wherever_it_lies(indent):
    chance = random.Random(1)
    for length in [*range(1, 300, 19), 2_000]:
        inner = [
            [{"a": ["]} " * chance.randrange(9), '\\"' + "text " * 9]}] * 3
        ] * chance.randrange(length)
        message = {"params": {"arguments": inner, "name": str(length)}, "method": "tools/call"}
        body = json.dumps(message, indent=indent).encode()
        for size in (255, len(body) - 1, len(body)):
            assert tools(sent(body, size)) == [str(length)]


RESULTS: dict[str, Callable[[], dict[str, object]]] = {
    "a list of tools": lambda: {
        "tools": [
            {
                "name": f"tool-{number}",
                "description": 'Does "this" and that.\nSee `docs`.',
                "inputSchema": {
                    "type": "object",
                    "properties": {"a": {"type": "string"}, "b": {"type": "integer", "min": 1}},
                    "required": ["a"],
                },
            }
            for number in range(6_000)
        ]
    },
    "a text": lambda: {"content": [{"type": "text", "text": json.dumps(pods(5_000))}]},
    "structured": lambda: {"content": [], "structuredContent": {"items": pods(5_000)}},
    "an image": lambda: {
        "content": [{"type": "image", "data": random.Random(2).randbytes(600_000).hex()}]
    },
}


@pytest.mark.parametrize("kind", RESULTS)
@pytest.mark.parametrize("form", ["plain", "events", "gzip", "chunked events"])
def test_real_results_of_a_megabyte_are_read_to_their_end(kind, form):
    content = json.dumps({"result": RESULTS[kind]() | {"isError": True}, "id": 1}).encode()
    fields = []
    if "events" in form:
        fields = [(b"Content-Type", b"text/event-stream")]
        content = b"event: message\r\nid: 1\r\ndata: " + content + b"\r\n\r\n"
    if form == "gzip":
        fields = [(b"Content-Encoding", b"gzip")]
        content = gzip.compress(content)
    bench = Bench()
    exchange = bench.post(calling("x"))
    reader = exchange.response_opened(ResponseHead(200, b"OK", Fields(fields)))
    for piece in cut(content, 1_000 if form == "chunked events" else PIECE):
        reader(piece)

    [invocation] = bench.recorded.invocations
    assert invocation.status_code == 500


def responded(pieces, head):
    """Return the bench after a response in *pieces* to one tool call, and its calls."""
    bench = Bench()
    exchange = bench.post(calling("x"))
    reader = exchange.response_opened(head)
    return bench, calls_of(lambda: [reader(piece) for piece in pieces])


EVENTS = ResponseHead(200, b"OK", Fields([(b"Content-Type", b"text/event-stream")]))
RESULT = b'event: message\nid: 9\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'


@pytest.mark.parametrize(
    "unit",
    [
        *[
            b"\n",
            b"\r\n",
            b"\r",
            b":\n",
            b": ping\n\n",
            b"data:\n",
            b"data:1\n\n",
            b"id:\r\r",
            b"x",
        ],
        *[
            b'data:{"id":1,"result":1}\n\n',
            b'data:{"result":\n',
            b"data:\\u\n\n",
            b"data:error\r\r",
        ],
    ],
)
def test_an_event_stream_of_any_shape_costs_a_few_calls(unit):
    _, calls = responded(cut(unit * (MEGABYTE // len(unit))), EVENTS)

    assert calls < 2 * CALLS_PER_MEGABYTE


@pytest.mark.parametrize("size", [None, PIECE, 1_000])
def test_a_stream_of_events_is_read_as_long_as_it_lasts(size):
    params = {"progressToken": 1, "progress": 0.5, "message": 'Working on "it": step 1 of 7'}
    params |= {"level": "error", "data": "the result: Журнал"}
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": params}
    events = [b"event: message\nid: 7\ndata: %b\n\n" % json.dumps(note).encode()] * 8_000
    events.append(RESULT)
    bench, calls = responded(cut(b"".join(events), size) if size else events, EVENTS)

    assert bench.outcomes() == [("ok", 200)]
    assert not bench.tally.oddities
    assert size != PIECE or calls < 2 * CALLS_PER_MEGABYTE


def test_the_responses_to_a_batch_are_read():
    bench = Bench()
    exchange = bench.post([calling("x", rpc_id=number) for number in range(MAX_TOOL_CALLS)])
    responses = [OK | {"id": number} for number in range(MAX_TOOL_CALLS)]
    respond(exchange, responses)

    assert bench.outcomes() == [("ok", 200)] * MAX_TOOL_CALLS


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        (b"gzip", lambda: zlib.compress(b"a" * 100 * MEGABYTE)),
        (b"gzip", lambda: gzip.compress(b"", mtime=0) * 50_000),
        (b"br", lambda: brotli.compress(b"a" * 100 * MEGABYTE, quality=1)),
        (b"zstd", lambda: zstd.compress(b"a" * 100 * MEGABYTE)),
        (b"zstd", lambda: zstd.compress(b"") * 50_000),
    ],
    ids=["gzip", "members", "br", "zstd", "frames"],
)
def test_content_that_expands_is_read_in_proportion_to_what_came(coding, content):
    wire, sizes = content(), []
    inflated = Inflated(coding, lambda data: sizes.append(len(data)))
    for piece in cut(wire):
        inflated.feed(piece)

    assert sum(sizes) <= FREE_BYTES + MAX_RATIO * len(wire) + PIECE_BYTES
    assert max(sizes) <= PIECE_BYTES
    assert len(sizes) <= 4_000
    assert inflated.is_broken


def test_tool_calls_are_found_by_their_id_among_many():
    calls: CallsByKey[int, str] = CallsByKey()
    for number in range(10_000):
        calls.add(number, f"call {number}")

    def end_in_reverse_order():
        for number in reversed(range(10_000)):
            call = calls.find(number)
            assert call is not None
            calls.remove(call)

    assert calls_of(end_in_reverse_order) < 100_000
    assert len(calls) == 0


class Received:
    """The direction of a tunnel that notes what it receives."""

    def __init__(self):
        self.messages = []
        self.missing = 0

    def received(self, message):
        self.messages.append(message)

    def missed(self):
        self.missing += 1

    def context_lost(self):
        pass

    def closed(self):
        pass


def test_a_message_of_the_hub_costs_in_proportion_to_its_size():
    received = Received()
    body = BODIES["keys"]
    frames = FrameReader(TunnelMessages(wanted_paths(None), received, Tally()), keeps_context=True)
    wire = b"\x82\x7f" + len(body).to_bytes(8, "big") + body

    def read():
        for piece in cut(wire):
            frames.feed(piece)

    assert calls_of(read) < 10 * CALLS_PER_MEGABYTE
    assert received.missing == 1
