"""Clients that leave a tool call: which of them cancel it, and how long its work may go on."""

import pytest

from audit_log.record import Attribution, Outcome, ToolOutcome
from proxy.mcp.lasting.session_end import SessionEnd
from proxy.mcp.lasting.tasks import CANCELLED_SECONDS
from proxy.mcp.sessions import LEFT_SECONDS
from tests.unit.heads import response_with
from tests.unit.mcp_bench import MODERN, OK, Bench, calling, ids_sent_with, respond, streamed

CANCELLING = {"method": "notifications/cancelled", "params": {"requestId": 1}}
ASKING = {"id": 3, "method": "elicitation/create", "params": {"message": "Sure?"}}


@pytest.fixture
def bench():
    return Bench()


def hung_up(bench, rpc_id=1, **more):
    exchange = bench.post(calling(rpc_id=rpc_id), **more)
    exchange.end(Outcome.CLIENT_CLOSED, 499)
    return exchange


def delete(bench, status, key="anna", session="s1"):
    exchange = SessionEnd((key, session), bench.calls, bench.tally)
    exchange.response_opened(response_with(status))
    exchange.end(Outcome.COMPLETED, status)


def inferred(bench):
    found = bench.calls.in_flight.cause_of("anna", frozenset())
    return found and found[0].tool


def begin_another(bench):
    bench.post(calling("another", 9), source=bench.source(session="s9"))


def test_a_client_that_hangs_up_has_not_cancelled_before_2026(bench):
    hung_up(bench)

    assert bench.outcomes() == []
    [slot] = bench.recorded.begun.values()
    assert slot.outcome is ToolOutcome.UNKNOWN, "a stop or a kill would leave it so"
    begin_another(bench)
    assert inferred(bench) is None, "the tool that was left may have called"
    assert bench.timers.expire() == [LEFT_SECONDS]
    assert bench.outcomes() == [(ToolOutcome.UNKNOWN, 499)]
    assert inferred(bench) == "another"


def test_a_client_without_a_session_that_hangs_up_leaves_a_tool_at_work(bench):
    hung_up(bench, source=bench.source(session=None))

    assert bench.outcomes() == [(ToolOutcome.UNKNOWN, 499)]
    begin_another(bench)
    assert inferred(bench) is None
    assert bench.timers.expire() == [LEFT_SECONDS]
    assert inferred(bench) == "another"


def test_a_client_that_hangs_up_has_cancelled_from_2026_on(bench):
    hung_up(bench, fields=MODERN, source=bench.source(session=None))

    assert bench.outcomes() == [(ToolOutcome.CANCELLED, 499)]
    begin_another(bench)
    assert inferred(bench) is None, "the tool may not have stopped yet"
    assert bench.timers.expire() == [CANCELLED_SECONDS]
    assert inferred(bench) == "another"


def test_a_tool_call_that_was_left_is_told_by_its_ids_and_may_be_cancelled_or_fetched(bench):
    left = hung_up(bench)
    ours = ids_sent_with(left)
    assert bench.calls.in_flight.cause_of("anna", ours)[1] is Attribution.EXACT
    bench.post(CANCELLING)
    assert bench.outcomes() == [(ToolOutcome.CANCELLED, 499)]
    assert bench.recorded.invocations[0].api_calls == 1

    hung_up(bench)
    streamed(bench.get(), OK)
    assert bench.outcomes()[1:] == [(ToolOutcome.OK, 200)]


def test_a_tool_that_responds_to_its_cancellation_is_no_longer_at_work(bench):
    exchange = bench.post(calling())
    bench.post(CANCELLING)
    begin_another(bench)
    assert inferred(bench) is None
    respond(exchange, {"id": 1, "error": {"code": 0, "message": "Request cancelled"}})

    assert inferred(bench) == "another"
    assert bench.outcomes() == [(ToolOutcome.CANCELLED, 499)]
    assert bench.timers.set == []


def test_a_client_that_hangs_up_after_it_cancelled_says_nothing_more(bench):
    exchange = bench.post(calling())
    bench.post(CANCELLING)
    exchange.end(Outcome.CLIENT_CLOSED, 499)
    begin_another(bench)

    assert inferred(bench) is None
    assert bench.outcomes() == [(ToolOutcome.CANCELLED, 499)]


def test_a_session_that_its_client_ends_ends_its_tool_calls_at_once(bench):
    hung_up(bench)
    open_call = bench.post(calling("b", 2))
    for other in ({"key": "bob"}, {"session": "s2"}):
        delete(bench, 200, **other)
    for status in (405, 404, 500):
        delete(bench, status)
    assert bench.outcomes() == []
    delete(bench, 204)
    assert bench.outcomes() == [(ToolOutcome.CANCELLED, 499)] * 2
    assert len(bench.calls.sessions) == 0
    open_call.end(Outcome.UPSTREAM_BROKE_OFF, 200)
    assert len(bench.outcomes()) == 2


@pytest.mark.parametrize(
    ("action", "expected"),
    [("accept", "ok"), ("decline", "declined"), ("cancel", "declined")],
)
@pytest.mark.parametrize("beside", [False, True])
def test_what_the_client_declined_reads_so_before_2026_as_well(bench, action, expected, beside):
    exchange = bench.post(calling())
    feed = exchange.response_opened(response_with(200, **{"Content-Type": "text/event-stream"}))
    if beside:
        streamed(bench.get(), ASKING)
    else:
        feed(b'data: {"id":3,"method":"elicitation/create","params":{}}\n\n')
    bench.post({"id": 3, "result": {"action": action}}).end(Outcome.COMPLETED, 202)
    feed(b'data: {"id":1,"result":{"content":[]}}\n\n')
    exchange.end(Outcome.COMPLETED, 200)

    assert [(row.outcome, row.rounds) for row in bench.recorded.invocations] == [(expected, 1)]
    assert bench.calls.sessions._questions == {}


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ({"id": 4, "result": {"action": "decline"}}, {}),
        ({"id": 3, "result": {"action": "decline"}}, {"key": "bob"}),
        ({"id": 3, "result": {"action": "decline"}}, {"session": "s2"}),
        ({"id": 3, "error": {"code": -1}}, {}),
        ({"id": 3, "result": {"roots": []}}, {}),
        ({"id": 3, "method": "x", "result": {"action": "decline"}}, {}),
    ],
)
def test_what_is_no_answer_to_the_question_declines_nothing(bench, answer, source):
    exchange = bench.post(calling())
    streamed(bench.get(), ASKING)
    bench.post(answer, source=bench.source(**source))
    respond(exchange, OK)

    assert bench.outcomes() == [(ToolOutcome.OK, 200)]
    assert bench.calls.sessions._questions == {}


def test_a_question_beside_two_tool_calls_is_of_neither(bench):
    exchanges = [bench.post(calling(rpc_id=number)) for number in (1, 2)]
    streamed(bench.get(), ASKING)
    bench.post({"id": 3, "result": {"action": "decline"}})
    for number, exchange in enumerate(exchanges, 1):
        respond(exchange, OK | {"id": number})

    assert bench.outcomes() == [(ToolOutcome.OK, 200)] * 2
