"""Tool calls in the Hub's tunnel that ask back, become tasks, and are known by their ids."""

import json

import pytest

from audit_log.record import ToolOutcome
from proxy.hub.direction import TunnelMessages
from proxy.hub.shapes import wanted_paths
from proxy.hub.tunnel import Requests, Responses, TunnelCalls
from tests.unit.mcp_bench import Bench, calling


class Tunnel:
    """A tunnel whose two sides a test speaks for, bare or in an envelope."""

    def __init__(self, bench, envelope):
        calls = TunnelCalls(bench.calls)
        self._sides = {
            side: TunnelMessages(wanted_paths(None), direction, bench.tally)
            for side, direction in (("hub", Requests(calls)), ("tool", Responses(calls)))
        }
        self._envelope = envelope

    def say(self, side, message):
        message = {"jsonrpc": "2.0", **message}
        told = {self._envelope: message} if self._envelope else message
        self._sides[side].feed(json.dumps(told).encode())
        self._sides[side].reset()


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture(params=[None, "payload"])
def tunnel(bench, request):
    return Tunnel(bench, request.param)


def question(rpc_id, **meta):
    params = {"message": "Delete?", "_meta": meta}
    return {"id": rpc_id, "method": "elicitation/create", "params": params}


def begin_task(tunnel):
    tunnel.say("hub", calling("slow"))
    tunnel.say("tool", {"id": 1, "result": {"task": {"taskId": "t1", "status": "working"}}})


@pytest.mark.parametrize(("action", "expected"), [("accept", "ok"), ("decline", "declined")])
def test_what_was_declined_through_the_tunnel_reads_so(bench, tunnel, action, expected):
    tunnel.say("hub", calling("delete"))
    tunnel.say("tool", question("q1"))
    tunnel.say("hub", {"id": "q1", "result": {"action": action}})
    tunnel.say("tool", {"id": 1, "result": {"content": []}})

    [row] = bench.recorded.invocations
    assert row.outcome == expected


def test_a_question_beside_two_tool_calls_of_a_tunnel_is_of_neither(bench, tunnel):
    for rpc_id in (1, 2):
        tunnel.say("hub", calling("delete", rpc_id))
    tunnel.say("tool", question("q1"))
    tunnel.say("hub", {"id": "q1", "result": {"action": "decline"}})
    for rpc_id in (1, 2):
        tunnel.say("tool", {"id": rpc_id, "result": {"content": []}})

    assert [row.outcome for row in bench.recorded.invocations] == [ToolOutcome.OK] * 2


def test_an_answer_in_another_tunnel_declines_nothing(bench, tunnel):
    tunnel.say("hub", calling("delete"))
    tunnel.say("tool", question("q1"))
    Tunnel(bench, None).say("hub", {"id": "q1", "result": {"action": "decline"}})
    tunnel.say("tool", {"id": 1, "result": {"content": []}})

    assert [row.outcome for row in bench.recorded.invocations] == [ToolOutcome.OK]


def test_a_task_is_declined_by_the_question_that_names_it(bench, tunnel):
    begin_task(tunnel)
    tunnel.say("hub", calling("other", 2))
    related = {"io.modelcontextprotocol/related-task": {"taskId": "t1"}}
    tunnel.say("tool", question("q1", **related))
    tunnel.say("hub", {"id": "q1", "result": {"action": "decline"}})
    tunnel.say("tool", {"id": 2, "result": {"content": []}})
    tunnel.say("hub", {"id": 3, "method": "tasks/result", "params": {"taskId": "t1"}})
    tunnel.say("tool", {"id": 3, "result": {"content": []}})

    said = [(row.tool, row.outcome) for row in bench.recorded.invocations]
    assert said == [("other", "ok"), ("slow", "declined")]


def test_a_notification_through_the_tunnel_ends_a_task(bench, tunnel):
    begin_task(tunnel)
    params = {"taskId": "t1", "status": "cancelled"}
    tunnel.say("tool", {"method": "notifications/tasks/status", "params": params})

    assert bench.outcomes() == [(ToolOutcome.CANCELLED, 499)]


def test_a_number_and_its_text_are_one_id_in_a_tunnel(bench, tunnel):
    tunnel.say("hub", calling("delete", "7"))
    tunnel.say("tool", {"id": 7, "result": {"isError": True}})
    tunnel.say("hub", calling("delete", 8))
    params = {"requestId": "8"}
    tunnel.say("hub", {"method": "notifications/cancelled", "params": params})

    assert bench.outcomes() == [(ToolOutcome.TOOL_ERROR, 500), (ToolOutcome.CANCELLED, 499)]
