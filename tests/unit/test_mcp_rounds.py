"""Tool calls that ask their client: MCP 2026-07-28, multi round-trip requests."""

import pytest

from audit_log.record import Attribution, Invocation, Origin, Outcome, ToolOutcome
from proxy.mcp.in_flight import HUB_KEY
from proxy.mcp.lasting.waiting import ASKED_SECONDS
from tests.unit.mcp_bench import MODERN, OK, Bench, calling, ids_sent_with, respond


@pytest.fixture
def bench():
    return Bench()


def asking(rpc_id=1, state="s1"):
    asked = {"sure": {"method": "elicitation/create", "params": {"message": "Sure?"}}}
    result = {"resultType": "input_required", "inputRequests": asked}
    return {"id": rpc_id, "result": result | ({"requestState": state} if state else {})}


def answering(*actions, state="s1", name="delete", rpc_id=2):
    answers = {str(number): {"action": action} for number, action in enumerate(actions)}
    echoed = {"requestState": state} if state else {}
    return calling(name, rpc_id, **echoed, **({"inputResponses": answers} if answers else {}))


def post(bench, message, response=None, **source):
    exchange = bench.post(message, fields=MODERN, source=bench.source(session=None, **source))
    if response is not None:
        respond(exchange, response)
    return exchange


def rows(bench):
    return [(row.outcome, row.rounds) for row in bench.recorded.invocations]


def test_a_tool_call_that_asks_is_one_tool_call(bench):
    post(bench, calling("delete"), asking())
    [waiting] = bench.recorded.offered
    assert (waiting.outcome, waiting.status_code, waiting.rounds) == (ToolOutcome.ASKED, 202, 1)

    post(bench, answering("accept"), {"id": 2, "result": {}})

    [row] = bench.recorded.invocations
    assert (row.outcome, row.status_code, row.rounds) == (ToolOutcome.OK, 200, 2)
    assert (row.id, row.created_at) == (waiting.id, waiting.created_at)
    assert row.duration_ms > 0
    assert bench.recorded.begun == {}
    assert len(bench.calls.waiting) == len(bench.calls.in_flight) == 0


def test_a_poll_by_state_alone_is_one_tool_call(bench):
    post(bench, calling("poll"), asking(state="0"))
    for number in range(1, 4):
        post(bench, answering(state=str(number - 1), name="poll"), asking(2, str(number)))
    post(bench, answering(state="3", name="poll"), {"id": 2, "result": {}})

    assert rows(bench) == [(ToolOutcome.OK, 5)]
    assert [each.rounds for each in bench.recorded.offered] == [1, 2, 3, 4]


@pytest.mark.parametrize("result", [{}, {"isError": True}])
@pytest.mark.parametrize(
    ("actions", "declined"),
    [(["decline"], True), (["cancel", "decline"], True), (["decline", "accept"], False)],
)
def test_what_was_declined_reads_so_whatever_the_tool_says(bench, actions, declined, result):
    post(bench, calling("delete"), asking())
    post(bench, answering(*actions), {"id": 2, "result": result})

    [(outcome, _)] = rows(bench)
    assert (outcome is ToolOutcome.DECLINED) == declined


@pytest.mark.parametrize("result", [{}, {"isError": True}])
def test_no_refusal_of_what_was_not_asked_makes_a_tool_read_declined(bench, result):
    post(bench, answering("decline"), {"id": 2, "result": result})

    assert rows(bench) == [(ToolOutcome.UNKNOWN, 1)]


def test_a_refusal_of_what_was_not_asked_says_nothing_of_what_is_asked_then(bench):
    post(bench, answering("decline"), asking(2, "s2"))
    post(bench, answering("accept", state="s2"), {"id": 2, "result": {}})

    assert rows(bench) == [(ToolOutcome.OK, 2)]


def test_the_last_answers_count(bench):
    post(bench, calling("delete"), asking())
    post(bench, answering("decline"), asking(2, "s2"))
    post(bench, answering("accept", state="s2"), {"id": 2, "result": {}})
    post(bench, calling("delete"), asking())
    post(bench, answering("accept"), asking(2, "s2"))
    post(bench, answering("decline", state="s2"), asking(2, "s3"))
    post(bench, answering(state="s3"), {"id": 2, "result": {}})

    assert rows(bench) == [(ToolOutcome.OK, 3), (ToolOutcome.DECLINED, 4)]


def test_a_state_that_the_server_rejects_is_a_protocol_error(bench):
    post(bench, calling("delete"), asking())
    post(bench, answering("decline"), {"id": 2, "error": {"code": -32602}})

    assert rows(bench) == [(ToolOutcome.PROTOCOL_ERROR, 2)]


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        (answering("accept", state="other"), {}),
        (answering("accept", state=None), {}),
        (answering("accept", name="other"), {}),
        (answering("accept"), {"key": "bob"}),
        (calling("delete"), {}),
    ],
)
def test_what_does_not_answer_is_a_tool_call_of_its_own(bench, answer, source):
    post(bench, calling("delete"), asking())
    post(bench, answer, OK | {"id": answer["id"]}, **source)

    assert rows(bench) == [(ToolOutcome.OK, 1)]
    assert len(bench.calls.waiting) == 1


def test_without_a_state_the_one_that_waits_is_answered(bench):
    post(bench, calling("delete"), asking(state=None))
    post(bench, answering("decline", state=None), {"id": 2, "result": {}})

    assert rows(bench) == [(ToolOutcome.DECLINED, 2)]


def test_between_two_that_wait_alike_there_is_no_choice(bench):
    for _ in range(2):
        post(bench, calling("delete"), asking(state=None))
    post(bench, answering("decline", state=None), {"id": 2, "result": {}})
    assert rows(bench) == [(ToolOutcome.DECLINED, 1)]

    bench.timers.expire()
    assert rows(bench)[1:] == [(ToolOutcome.UNKNOWN, 1)] * 2


def test_a_client_that_does_not_return_has_abandoned_it(bench):
    post(bench, calling("delete"), asking())
    assert bench.timers.expire() == [ASKED_SECONDS]

    [row] = bench.recorded.invocations
    assert (row.outcome, row.status_code, row.rounds) == (ToolOutcome.ABANDONED, 499, 1)
    assert len(bench.calls.waiting) == len(bench.calls.in_flight) == 0
    post(bench, answering("accept"), {"id": 2, "result": {}})
    assert rows(bench)[1:] == [(ToolOutcome.OK, 1)]


def test_what_a_kill_would_leave_is_in_the_slot(bench):
    post(bench, calling("delete"), asking())
    [slot] = bench.recorded.begun.values()
    assert (slot.outcome, slot.rounds) == (ToolOutcome.UNKNOWN, 1)

    post(bench, answering("accept"))
    [slot] = bench.recorded.begun.values()
    assert (slot.outcome, slot.rounds) == (ToolOutcome.INTERRUPTED, 2)


def test_a_client_that_hangs_up_in_a_later_round_has_cancelled(bench):
    post(bench, calling("delete"), asking()).end(Outcome.CLIENT_CLOSED, 499)
    assert rows(bench) == []
    post(bench, answering("accept")).end(Outcome.CLIENT_CLOSED, 499)

    assert rows(bench) == [(ToolOutcome.CANCELLED, 2)]


def test_api_calls_of_each_round_are_of_the_one_tool_call(bench):
    flying = bench.calls.in_flight
    first = post(bench, calling("delete"))
    call, how = flying.cause_of("anna", frozenset())
    assert how is Attribution.INFERRED
    respond(first, asking())
    assert flying.cause_of("anna", frozenset()) is None
    ours = ids_sent_with(first)
    assert flying.cause_of("anna", ours) == (call, Attribution.EXACT)

    second = post(bench, answering("accept"))
    assert flying.cause_of("anna", frozenset()) == (call, Attribution.INFERRED)
    ours = ids_sent_with(second)
    assert flying.cause_of("anna", ours) == (call, Attribution.EXACT)
    respond(second, {"id": 2, "result": {}})

    assert [row.api_calls for row in bench.recorded.invocations] == [4]


def test_a_round_that_is_sent_elsewhere_is_repeated_there(bench):
    respond(post(bench, calling("delete")), asking())
    respond(post(bench, answering("accept")), raw=b"", status=307)
    respond(post(bench, answering("accept")), {"id": 2, "result": {}})

    [row] = bench.recorded.invocations
    assert (row.outcome, row.rounds) == (ToolOutcome.OK, 2)
    assert bench.recorded.begun == {}


def test_the_hubs_tool_call_leaves_its_entry_when_it_has_ended(bench):
    hub = {"key": HUB_KEY, "origin": Origin.HUB}
    post(bench, calling("delete"), asking(), **hub)
    assert bench.recorded.ended == []
    post(bench, answering("decline"), {"id": 2, "result": {}}, **hub)

    row, entry = bench.recorded.ended
    assert isinstance(row, Invocation)
    assert (row.outcome, entry.status_code) == (ToolOutcome.DECLINED, 403)
    assert entry.invocation_id == row.id


def test_many_answers_hide_nothing(bench):
    answers = answering(*["decline"] * 100)
    answers["params"] = dict(reversed(answers["params"].items()))
    post(bench, calling("delete"), asking())
    post(bench, answers, {"id": 2, "result": {}})

    assert rows(bench) == [(ToolOutcome.OK, 2)]
    assert bench.tally.oddities == {}
