"""Tool calls that become tasks, with messages of TypeScript SDK 1.32 and fastmcp-tasks 4.1."""

import pytest

from audit_log.record import Attribution, Outcome, ToolOutcome
from proxy.mcp.lasting.tasks import (
    CANCELLED_SECONDS,
    MAX_LEFT,
    MAX_TASK_SECONDS,
    RESULT_SECONDS,
    TASK_SECONDS,
)
from tests.unit.mcp_bench import MODERN, Bench, calling, ids_sent_with, respond, streamed

LEGACY, EXTENSION = "2025-11-25", "2026-07-28"


@pytest.fixture
def bench():
    return Bench()


def begun(era=LEGACY, task="t1", rpc_id=1, **told):
    told = {"taskId": task, "status": "working"} | told
    if era == LEGACY:
        return {"id": rpc_id, "result": {"task": told}}
    return {"id": rpc_id, "result": told | {"resultType": "task"}}


def asking(method, task="t1", rpc_id=7, **params):
    return {"id": rpc_id, "method": f"tasks/{method}", "params": {"taskId": task, **params}}


def told(status, task="t1", rpc_id=7, **more):
    return {"id": rpc_id, "result": {"taskId": task, "status": status, **more}}


def post(bench, message, response, **source):
    exchange = bench.post(message, fields=MODERN, source=bench.source(**source))
    respond(exchange, response)


def rows(bench):
    return [(row.outcome, row.status_code) for row in bench.recorded.invocations]


def shown(bench):
    return [(row.outcome, row.rounds) for row in bench.recorded.offered]


@pytest.mark.parametrize("era", [LEGACY, EXTENSION])
def test_a_task_is_recorded_as_working_and_blocks_inference(bench, era):
    exchange = bench.post(calling("slow"))
    ours = ids_sent_with(exchange)
    respond(exchange, begun(era))

    assert shown(bench) == [(ToolOutcome.WORKING, 1)]
    [slot] = bench.recorded.begun.values()
    assert slot.outcome is ToolOutcome.UNKNOWN
    flying = bench.calls.in_flight
    assert flying.cause_of("anna", frozenset()) is None
    bench.post(calling("other", rpc_id=2))
    assert flying.cause_of("anna", frozenset()) is None, "the task may have made it"
    assert flying.cause_of("anna", ours)[1] is Attribution.EXACT
    post(bench, asking("get"), told("completed", result={}))
    found, how = flying.cause_of("anna", frozenset())
    assert (found.tool, how) == ("other", Attribution.INFERRED)
    assert bench.recorded.invocations[0].api_calls == 1


@pytest.mark.parametrize(
    ("message", "response", "expected"),
    [
        # the extension of 2026
        (
            asking("get"),
            told("completed", result={"content": [], "isError": False}),
            (ToolOutcome.OK, 200),
        ),
        (
            asking("get"),
            told("completed", result={"isError": True}),
            (ToolOutcome.TOOL_ERROR, 500),
        ),
        (
            asking("get"),
            told("failed", error={"code": -32603, "message": "no"}),
            (ToolOutcome.PROTOCOL_ERROR, 400),
        ),
        (asking("get"), told("cancelled"), (ToolOutcome.CANCELLED, 499)),
        # 2025-11-25
        (asking("cancel"), told("cancelled"), (ToolOutcome.CANCELLED, 499)),
        (asking("result"), {"id": 7, "result": {"content": []}}, (ToolOutcome.OK, 200)),
        (asking("result"), {"id": 7, "result": {"isError": True}}, (ToolOutcome.TOOL_ERROR, 500)),
        (asking("result"), {"id": 7, "error": {"code": -5}}, (ToolOutcome.PROTOCOL_ERROR, 400)),
    ],
)
def test_what_is_asked_about_a_task_ends_it(bench, message, response, expected):
    post(bench, calling("slow"), begun())
    post(bench, asking("get"), told("working"))
    post(bench, message, response)

    assert rows(bench) == [expected]
    assert bench.recorded.begun == {}
    works = [CANCELLED_SECONDS] if expected[0] is ToolOutcome.CANCELLED else []
    assert bench.timers.expire() == works
    assert len(bench.calls.tasks) == len(bench.calls.in_flight) == 0


@pytest.mark.parametrize(
    ("message", "response", "source"),
    [
        (asking("get"), told("working"), {}),
        (asking("get", "t2"), told("cancelled", "t2"), {}),
        (asking("get"), told("cancelled"), {"key": "bob"}),
        (asking("get"), {"id": 7, "error": {"code": -32602}}, {}),
        (asking("result"), {"id": 7, "error": {"code": -32602}}, {}),
        (asking("result", "t2"), {"id": 7, "result": {}}, {}),
        (asking("list"), {"id": 7, "result": {"tasks": []}}, {}),
        ({"id": 7, "method": "resources/read"}, told("cancelled"), {}),
    ],
)
def test_what_is_about_something_else_ends_nothing(bench, message, response, source):
    post(bench, calling("slow"), begun())
    post(bench, message, response, **source)

    assert rows(bench) == []


@pytest.mark.parametrize(
    ("status", "result", "expected"),
    [
        ("completed", {"content": []}, ToolOutcome.OK),
        ("completed", {"isError": True}, ToolOutcome.TOOL_ERROR),
        ("completed", None, ToolOutcome.OK),
        ("failed", {"isError": True}, ToolOutcome.TOOL_ERROR),
        ("failed", None, ToolOutcome.TOOL_ERROR),
    ],
)
def test_a_status_ends_the_task_and_its_result_says_how(bench, status, result, expected):
    post(bench, calling("slow"), begun())
    post(bench, asking("get"), told(status))
    assert rows(bench) == []
    if result is None:
        assert bench.timers.expire() == [RESULT_SECONDS]
    else:
        post(bench, asking("result"), {"id": 7, "result": result})

    [(outcome, _)] = rows(bench)
    assert outcome is expected


@pytest.mark.parametrize(
    ("status", "expected"), [("completed", ToolOutcome.OK), ("failed", ToolOutcome.TOOL_ERROR)]
)
def test_a_status_is_kept_though_the_sidecar_ends_before_the_result_comes(bench, status, expected):
    post(bench, calling(), begun())
    post(bench, asking("get"), told(status))

    [slot] = bench.recorded.begun.values()
    assert slot.outcome is expected


ACKNOWLEDGED = {"id": 7, "result": {"resultType": "complete"}}


def test_a_cancellation_that_is_acknowledged_ends_the_task_if_nothing_else_is_heard(bench):
    post(bench, calling("slow"), begun(EXTENSION))
    post(bench, asking("cancel"), {"id": 7, "error": {"code": -32602}})
    [slot] = bench.recorded.begun.values()
    assert slot.outcome is ToolOutcome.UNKNOWN
    post(bench, asking("cancel"), ACKNOWLEDGED)
    [slot] = bench.recorded.begun.values()
    assert slot.outcome is ToolOutcome.CANCELLED

    assert bench.calls.in_flight.cause_of("anna", frozenset()) is None
    assert bench.timers.expire() == [CANCELLED_SECONDS]
    assert rows(bench) == [(ToolOutcome.CANCELLED, 499)]
    assert len(bench.calls.tasks) == len(bench.calls.in_flight) == 0


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        ("completed", {"result": {"content": []}}, (ToolOutcome.OK, 200)),
        ("completed", {"result": {"isError": True}}, (ToolOutcome.TOOL_ERROR, 500)),
        ("failed", {"error": {"code": -32603}}, (ToolOutcome.PROTOCOL_ERROR, 400)),
        ("cancelled", {}, (ToolOutcome.CANCELLED, 499)),
    ],
)
def test_a_task_that_was_told_to_stop_ends_as_it_says_itself(bench, status, more, expected):
    """fastmcp-tasks acknowledges the cancellation of a task that has ended, and leaves it so."""
    post(bench, calling("slow"), begun(EXTENSION))
    post(bench, asking("cancel"), ACKNOWLEDGED)
    post(bench, asking("get"), told("working", ttlMs=120_000))
    assert [timer.seconds for timer in bench.timers.set] == [120]
    post(bench, asking("get"), told(status, **more))

    assert rows(bench) == [expected]


def test_a_notification_on_any_stream_of_the_token_ends_a_task(bench):
    note = {"method": "notifications/tasks/status", "params": {"taskId": "t1"}}
    post(bench, calling("slow"), begun())
    stream = bench.get(session="another")
    progress = {"method": "notifications/progress"}
    streamed(stream, progress, note | {"params": {"taskId": "t1", "status": "cancelled"}})
    assert rows(bench) == [(ToolOutcome.CANCELLED, 499)]

    post(bench, calling("slow"), begun())
    listening = bench.post({"id": 1, "method": "subscriptions/listen"})
    params = {"taskId": "t1", "status": "completed", "result": {"isError": True}}
    streamed(listening, progress, {"method": "notifications/tasks", "params": params})
    assert rows(bench)[1:] == [(ToolOutcome.TOOL_ERROR, 500)]


@pytest.mark.parametrize(
    ("session", "rpc_id", "expected"),
    [
        ("s1", 7, [(ToolOutcome.TOOL_ERROR, 500)]),
        ("s1", "7", [(ToolOutcome.TOOL_ERROR, 500)]),
        ("s2", 7, []),
        ("s1", 8, []),
    ],
)
def test_a_result_that_is_fetched_on_another_stream_ends_the_task(
    bench, session, rpc_id, expected
):
    post(bench, calling("slow"), begun())
    progress = {"method": "notifications/progress"}
    cut = bench.post(asking("result"))
    streamed(cut, progress, ids=True, outcome=Outcome.CLIENT_CLOSED)
    assert rows(bench) == []

    streamed(bench.get(session=session), {"id": rpc_id, "result": {"isError": True}})
    assert rows(bench) == expected


def test_of_the_results_that_are_never_fetched_the_oldest_are_forgotten(bench):
    post(bench, calling("slow"), begun())
    for rpc_id in range(MAX_LEFT + 1):
        bench.post(asking("result", rpc_id=rpc_id)).end(Outcome.CLIENT_CLOSED, 499)

    for rpc_id in (0, 1):
        streamed(bench.get(), {"id": rpc_id, "result": {"content": []}})
        assert len(rows(bench)) == rpc_id


@pytest.mark.parametrize(("action", "expected"), [("accept", "ok"), ("decline", "declined")])
def test_a_task_that_asks_is_answered_by_an_update(bench, action, expected):
    post(bench, calling("slow"), begun(EXTENSION))
    for _ in range(2):
        post(bench, asking("get"), told("input_required", inputRequests={"a": {}}))
    answers = {"a": {"action": action}}
    update = asking("update", inputResponses=answers)
    post(bench, update, {"id": 7, "result": {"resultType": "complete"}})
    post(bench, asking("get"), told("completed", result={}))

    assert shown(bench) == [
        (ToolOutcome.WORKING, 1),
        (ToolOutcome.ASKED, 1),
        (ToolOutcome.WORKING, 2),
    ]
    [row] = bench.recorded.invocations
    assert (row.outcome, row.rounds) == (expected, 2)


@pytest.mark.parametrize(
    ("told_of_time", "seconds"),
    [
        ({}, TASK_SECONDS),
        ({"ttl": None}, TASK_SECONDS),
        ({"ttl": 120_000}, 120),
        ({"ttl": 1e15}, MAX_TASK_SECONDS),
        ({"ttl": -1}, RESULT_SECONDS),
    ],
)
def test_a_task_of_which_nothing_is_heard_is_given_up_when_it_is_no_longer_kept(
    bench, told_of_time, seconds
):
    post(bench, calling("slow"), begun(**told_of_time))
    assert bench.timers.expire() == [seconds]

    assert rows(bench) == [(ToolOutcome.UNKNOWN, 0)]
    assert bench.recorded.invocations[0].duration_ms is None, "nobody knows how long it took"
    assert len(bench.calls.tasks) == len(bench.calls.in_flight) == 0


def test_a_task_that_asks_and_is_not_answered_is_abandoned(bench):
    post(bench, calling("slow"), begun())
    post(bench, asking("get"), told("input_required"))
    bench.timers.expire()

    assert rows(bench) == [(ToolOutcome.ABANDONED, 499)]


RELATED = {"io.modelcontextprotocol/related-task": {"taskId": "t1"}}


def question(rpc_id="q1", meta=RELATED):
    params = {"message": "Delete?", "_meta": meta}
    return {"id": rpc_id, "method": "elicitation/create", "params": params}


@pytest.mark.parametrize(("action", "expected"), [("accept", "ok"), ("decline", "declined")])
@pytest.mark.parametrize("beside", [False, True])
def test_a_task_that_asks_on_a_stream_is_answered_by_a_response(bench, action, expected, beside):
    post(bench, calling("slow"), begun())
    other = bench.post(calling("other", rpc_id=2))
    stream = bench.get() if beside else bench.post(asking("result"))
    streamed(stream, question())
    bench.post({"id": "q1", "result": {"action": action}}).end(Outcome.COMPLETED, 202)
    post(bench, asking("result", rpc_id=8), {"id": 8, "result": {"content": []}})
    respond(other, {"id": 2, "result": {}})

    assert [row.outcome for row in bench.recorded.invocations] == [expected, "ok"]
    assert bench.calls.sessions._questions == {}


def test_a_question_of_an_unknown_task_is_of_no_tool_call(bench):
    call = bench.post(calling("other", rpc_id=2))
    streamed(bench.get(), question())
    bench.post({"id": "q1", "result": {"action": "decline"}})
    respond(call, {"id": 2, "result": {}})

    assert rows(bench) == [(ToolOutcome.OK, 200)]


def test_a_task_that_ends_leaves_no_question_behind(bench):
    post(bench, calling("slow"), begun())
    streamed(bench.get(), question(), question("q2"))
    post(bench, asking("cancel"), told("cancelled"))

    assert bench.calls.sessions._questions == {}
