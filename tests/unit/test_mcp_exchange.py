import gzip
import json

import pytest

from audit_log.record import AuditRecord, Origin, Outcome, ToolOutcome
from proxy.mcp.in_flight import HUB_KEY
from proxy.mcp.sessions import MAX_LEFT
from proxy.mcp.tool_exchange import MAX_TOOL_CALLS
from tests.unit.heads import response_with
from tests.unit.mcp_bench import MODERN, OK, SESSION, Bench, calling, respond, streamed


@pytest.fixture
def bench():
    return Bench()


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (OK, (ToolOutcome.OK, 200)),
        ({"id": 1, "result": {"isError": True}}, (ToolOutcome.TOOL_ERROR, 500)),
        ({"id": 1, "error": {"code": -32601}}, (ToolOutcome.PROTOCOL_ERROR, 404)),
        ({"id": None, "error": {"code": -32700}}, (ToolOutcome.PROTOCOL_ERROR, 400)),
        ({"error": {"code": -32700}}, (ToolOutcome.PROTOCOL_ERROR, 400)),
        ({"id": 2, "result": {}}, (ToolOutcome.UNKNOWN, 200)),
        ({"id": "1", "result": {}}, (ToolOutcome.OK, 200)),
        ({"id": "a", "result": {}}, (ToolOutcome.UNKNOWN, 200)),
    ],
)
def test_the_answer_ends_the_tool_call(bench, response, expected):
    respond(bench.post(calling()), response)

    assert bench.outcomes() == [expected]
    assert bench.recorded.begun == {}


@pytest.mark.parametrize("status", [400, 401, 404, 421, 500, 503])
def test_the_status_of_http_counts_when_it_is_an_error(bench, status):
    respond(bench.post(calling()), {"id": 1, "error": {"code": -32000}}, status=status)
    respond(bench.post(calling()), raw=b"<html>", status=status)

    assert bench.outcomes() == [(ToolOutcome.PROTOCOL_ERROR, status)] * 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_request_that_is_sent_elsewhere_ran_nothing_and_leaves_nothing(bench, status):
    """A mounted application sends `/mcp` to `/mcp/`; the client repeats its request there."""
    sent_on = bench.post(calling("a"))
    respond(sent_on, raw=b"", status=status)
    assert bench.calls.in_flight.cause_of("anna", frozenset()) is None
    respond(bench.post(calling("a")), OK)
    sent_on.end(Outcome.COMPLETED, status)

    assert bench.outcomes() == [(ToolOutcome.OK, 200)]
    assert (bench.recorded.begun, len(bench.calls.in_flight), len(bench.calls.sessions)) == (
        ({}, 0, 0)
    )
    assert bench.recorded.offered == []


@pytest.mark.parametrize(
    ("outcome", "status", "expected"),
    [
        (Outcome.CLIENT_CLOSED, 499, (ToolOutcome.CANCELLED, 499)),
        (Outcome.INTERRUPTED, 0, (ToolOutcome.INTERRUPTED, 0)),
        (Outcome.UPSTREAM_UNREACHABLE, 502, (ToolOutcome.PROTOCOL_ERROR, 502)),
        (Outcome.UPSTREAM_BROKE_OFF, 200, (ToolOutcome.UNKNOWN, 200)),
    ],
)
def test_a_tool_call_without_an_answer_ends_with_its_exchange(bench, outcome, status, expected):
    exchange = bench.post(calling(), fields=MODERN)
    exchange.end(outcome, status)
    exchange.end(Outcome.COMPLETED, 200)

    assert bench.outcomes() == [expected]


def test_an_answer_may_come_in_a_stream_after_other_messages(bench):
    exchange = bench.post(calling())
    streamed(exchange, {"method": "notifications/progress"}, {"id": 1, "method": "ping"}, OK)

    assert bench.outcomes() == [(ToolOutcome.OK, 200)]


def test_what_is_no_tool_call_leaves_nothing(bench):
    for method in ("initialize", "tools/list", "notifications/initialized"):
        exchange = bench.post({"jsonrpc": "2.0", "id": 1, "method": method})
        assert exchange.response_opened(response_with(200)) is None
        exchange.end(Outcome.COMPLETED, 200)

    assert bench.recorded.ended == []
    assert bench.tally.unaudited[Outcome.COMPLETED] == 3


def test_each_tool_call_of_a_batch_has_its_own_ending(bench):
    exchange = bench.post([calling("a", 1), {"method": "ping", "id": 2}, calling("b", 3)])
    respond(exchange, [{"id": 3, "error": {"code": -32601}}, {"id": 2, "result": {}}, OK])

    assert {(each.tool, each.outcome) for each in bench.recorded.invocations} == {
        ("a", ToolOutcome.OK),
        ("b", ToolOutcome.PROTOCOL_ERROR),
    }


def test_an_error_without_an_id_ends_none_of_several_tool_calls(bench):
    exchange = bench.post([calling("a", 1), calling("b", 2)])
    respond(exchange, {"error": {"code": -32700}})

    assert bench.outcomes() == [(ToolOutcome.UNKNOWN, 200)] * 2


def test_no_more_tool_calls_of_a_batch_are_recorded_than_anybody_needs(bench):
    exchange = bench.post([calling(rpc_id=number) for number in range(MAX_TOOL_CALLS + 5)])
    exchange.end(Outcome.UPSTREAM_BROKE_OFF, 200)

    assert len(bench.outcomes()) == MAX_TOOL_CALLS
    assert bench.tally.oddities["mcp_tool_call_beyond_limit"] == 5


def test_of_equal_keys_the_last_counts_as_for_the_server(bench):
    bench.post(raw=b'{"method":"ping","method":"tools/call","params":{"name":"a","name":"b"}}')
    bench.post(raw=b'{"method":"tools/call","method":"ping","params":{"name":"a"}}')

    assert [record.tool for record in bench.recorded.begun.values()] == ["b"]


def test_the_body_wins_over_the_field_that_contradicts_it(bench):
    bench.post(calling("real"), fields={**MODERN, "Mcp-Name": "feigned"})
    bench.post(calling("same"), fields={**MODERN, "Mcp-Name": "=?base64?c2FtZQ==?="})

    assert [record.tool for record in bench.recorded.begun.values()] == ["real", "same"]
    assert bench.tally.oddities == {"mcp_name_contradicts_body": 1}


@pytest.mark.parametrize(
    "raw",
    [
        gzip.compress(json.dumps(calling("x")).encode(), mtime=0),
        json.dumps(calling("x")).encode("utf-16"),
        json.dumps(calling("x")).encode("utf-16-le"),
        b"no JSON",
    ],
)
def test_the_head_is_believed_where_the_body_cannot_be_read(bench, raw):
    respond(bench.post(raw=raw, fields={**MODERN, "Mcp-Name": "named"}), {"id": 7, "result": {}})
    bench.post(raw=raw).end(Outcome.COMPLETED, 200)
    bench.post(raw=raw, fields={"Mcp-Name": "named"}).end(Outcome.COMPLETED, 200)

    assert [record.tool for record in bench.recorded.invocations] == ["named"]
    assert bench.outcomes() == [(ToolOutcome.OK, 200)]
    assert bench.tally.oddities == {"mcp_request_unreadable": 3}


@pytest.mark.parametrize("coding", ["gzip", "identity", "nonsense"])
def test_a_field_that_says_the_body_is_encoded_hides_nothing(bench, coding):
    bench.post(calling("seen"), fields={"Content-Encoding": coding})

    assert [record.tool for record in bench.recorded.begun.values()] == ["seen"]


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf" + json.dumps(calling("seen")).encode(),
        b'{"filler":1.' + b"0" * 5_000 + b',"method":"tools/call","params":{"name":"seen"}}',
        b'{"id":' + b"9" * 5_000 + b',"method":"tools/call","params":{"name":"seen"}}',
        b'{"' + b"k" * 5_000 + b'":1,"method":"tools/call","params":{"name":"seen"}}',
        b'{"\\u006dethod":"tools\\/call","params":{"name":"seen"}}',
        b'{"filler":NaN,"method":"tools/call","params":{"name":"seen"}}',
        b'\r\n\t {"method":"tools/call","params":{"arguments":' + b"[" * 99 + b"]" * 99
        + b',"name":"seen"}}',
    ],
)  # fmt: skip
def test_what_a_server_may_read_is_read(bench, raw):
    bench.post(raw=raw)

    assert [record.tool for record in bench.recorded.begun.values()] == ["seen"]


def test_a_name_of_half_a_character_is_still_a_tool_call(bench):
    bench.post(raw=b'{"method":"tools/call","params":{"name":"\\ud800"}}')

    assert [record.tool for record in bench.recorded.begun.values()] == ["%ED%A0%80"]


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
def test_an_answer_that_is_compressed_is_read_all_the_same(bench, coding):
    raw = gzip.compress(json.dumps({"id": 1, "result": {"isError": True}}).encode(), mtime=0)
    respond(bench.post(calling()), raw=raw, fields={"Content-Encoding": coding})

    assert bench.outcomes() == [(ToolOutcome.TOOL_ERROR, 500)]


def test_an_answer_in_a_coding_that_we_do_not_know_is_unknown(bench):
    respond(bench.post(calling()), raw=b"...", fields={"Content-Encoding": "dcb"})
    respond(bench.post(calling()), raw=b"no gzip", fields={"Content-Encoding": "gzip"})

    assert bench.outcomes() == [(ToolOutcome.UNKNOWN, 200)] * 2
    assert bench.tally.oddities == {"mcp_response_unreadable": 2}


def test_a_tool_call_through_the_hub_leaves_one_entry_as_well(bench):
    exchange = bench.post(calling("a/b"), source=bench.source(HUB_KEY, Origin.HUB))
    respond(exchange, {"id": 1, "result": {"isError": True}})

    invocation, entry = bench.recorded.ended
    assert isinstance(entry, AuditRecord)
    assert (entry.token_name, entry.method, entry.path, entry.status_code) == (
        "Hub Tunnel (hub)", "TOOL", "/mcp/tool/a%2Fb", 500,
    )  # fmt: skip
    assert (entry.invocation_id, invocation.origin) == (invocation.id, Origin.HUB)


async def test_an_answer_that_was_cut_off_is_awaited_on_another_stream(bench):
    streamed(bench.post(calling(), fields=SESSION), {"method": "note"}, ids=True)
    assert bench.outcomes() == []

    streamed(bench.get("bob"), OK)
    streamed(bench.get(session="s2"), OK)
    assert bench.outcomes() == []
    streamed(bench.get(), {"id": 2, "result": {}})
    assert bench.outcomes() == []
    streamed(bench.get(), OK)
    assert bench.outcomes() == [(ToolOutcome.OK, 200)]
    assert len(bench.calls.sessions) == 0


async def test_a_client_that_lost_its_connection_may_come_back_for_the_answer(bench):
    exchange = bench.post(calling())
    streamed(exchange, {"method": "note"}, ids=True, outcome=Outcome.CLIENT_CLOSED)
    streamed(bench.get(), OK)

    assert bench.outcomes() == [(ToolOutcome.OK, 200)]


@pytest.mark.parametrize(
    ("ids", "session", "fields", "expected"),
    [
        (False, None, MODERN, (ToolOutcome.CANCELLED, 499)),
        (True, None, {}, (ToolOutcome.UNKNOWN, 499)),
    ],
)
def test_nothing_is_awaited_that_cannot_be_fetched(bench, ids, session, fields, expected):
    exchange = bench.post(calling(), source=bench.source(session=session), fields=fields)
    streamed(exchange, {"method": "note"}, ids=ids, outcome=Outcome.CLIENT_CLOSED)

    assert bench.outcomes() == [expected]


async def test_of_the_answers_that_are_never_fetched_the_oldest_is_given_up(bench):
    for number in range(MAX_LEFT + 2):
        exchange = bench.post(calling(str(number), number))
        streamed(exchange, {"method": "note"}, ids=True, outcome=Outcome.CLIENT_CLOSED)

    assert bench.outcomes() == [(ToolOutcome.UNKNOWN, 499)] * 2
    assert [record.tool for record in bench.recorded.invocations] == ["0", "1"]
    assert len(bench.calls.sessions) == MAX_LEFT


def test_a_cancellation_ends_the_tool_call_of_its_own_session_alone(bench):
    cancelling = {"method": "notifications/cancelled", "params": {"requestId": 1}}
    exchange = bench.post(calling())
    for other in (bench.source("bob"), bench.source(session="s2"), bench.source(session=None)):
        bench.post(cancelling, source=other)
    bench.post({**cancelling, "params": {"requestId": 2}})
    assert bench.outcomes() == []

    bench.post(cancelling)
    respond(exchange, {"id": 1, "error": {"code": 0}})
    assert bench.outcomes() == [(ToolOutcome.CANCELLED, 499)]


def test_a_body_that_costs_too_much_is_recorded_as_unreadable(bench):
    raw = b"[{" + b'"x":[],' * 10_000
    respond(bench.post(calling("seen"), raw=raw), OK)
    respond(bench.post(raw=raw, fields={**MODERN, "Mcp-Name": "named"}), {"id": 7, "result": {}})

    assert sorted(record.tool for record in bench.recorded.invocations) == [
        "(unreadable)",
        "named",
        "seen",
    ]
    assert bench.tally.oddities == {"mcp_request_unreadable": 2}


def test_a_response_that_costs_too_much_is_counted(bench):
    respond(bench.post(calling("x")), raw=b'{"result":{' + b'"x":[],' * 10_000)

    assert bench.outcomes() == [(ToolOutcome.UNKNOWN, 200)]
    assert bench.tally.oddities == {"mcp_response_unreadable": 1}


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "clientInfo": {"name": "claude-code", "version": "2.1"},
    },
}
NEGOTIATED = {"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": "2025-06-18"}}
AGENT = ("client_name", "client_version", "protocol_version", "user_agent")


def agents(bench):
    return [tuple(getattr(call, name) for name in AGENT) for call in bench.recorded.invocations]


def test_the_client_that_opened_a_session_is_that_of_its_tool_calls(bench):
    respond(bench.post(INITIALIZE), NEGOTIATED, fields=SESSION)
    respond(bench.post(calling(), fields={**SESSION, "User-Agent": "node"}), OK)
    other = bench.source(key="bob")
    respond(bench.post(calling(), fields=SESSION, source=other), OK)

    assert agents(bench) == [
        ("claude-code", "2.1", "2025-06-18", "node"),
        (None, None, None, None),
    ]
    mine, theirs = (call.session for call in bench.recorded.invocations)
    assert None not in {mine, theirs}
    assert mine != theirs


@pytest.mark.parametrize(("status", "fields"), [(400, SESSION), (200, {})])
def test_an_initialize_that_opens_no_session_introduces_nobody(bench, status, fields):
    respond(bench.post(INITIALIZE), NEGOTIATED, fields=fields, status=status)
    respond(bench.post(calling(), fields=SESSION), OK)

    assert agents(bench) == [(None,) * 4]


def test_a_client_is_known_though_the_response_to_initialize_cannot_be_read(bench):
    respond(bench.post(INITIALIZE), raw=b"?", fields={**SESSION, "Content-Encoding": "br"})
    respond(bench.post(calling(), fields=SESSION), OK)

    assert agents(bench) == [("claude-code", "2.1", None, None)]


def test_a_modern_request_says_itself_who_its_client_is(bench):
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "agent", "version": "7", "title": "A"},
    }
    respond(bench.post(calling(_meta=meta), fields={**MODERN, **SESSION}), OK)

    assert agents(bench) == [("agent", "7", "2026-07-28", None)]
    assert bench.recorded.invocations[0].session is None


def test_a_tool_call_that_a_kill_would_interrupt_tells_its_agent_too(bench):
    respond(bench.post(INITIALIZE), NEGOTIATED, fields=SESSION)
    bench.post(calling(), fields=SESSION)

    [interrupted] = bench.recorded.begun.values()
    assert (interrupted.client_name, interrupted.outcome) == ("claude-code", "interrupted")
