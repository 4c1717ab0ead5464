import json

import pytest

from proxy.hub.shapes import unwrapped, wanted_paths
from proxy.mcp.budget import TUNNELLED, Budget
from proxy.mcp.json_stream import JsonStream, Values
from proxy.mcp.messages import ToolCall, cancelled_id, tool_call_of

CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "list_clusters"}}


def said(document, envelope_field=None):
    found: list[Values] = []
    stream = JsonStream(wanted_paths(envelope_field), found.append, Budget(TUNNELLED))
    stream.feed(json.dumps(document).encode())
    [values] = found
    return unwrapped(values)


@pytest.mark.parametrize(
    "document",
    [
        CALL,
        {"type": "rpc", "payload": CALL},
        {"payload": CALL, "session": {"jsonrpc": "1.0"}},
        {"*": CALL},
    ],
)
def test_a_tool_call_is_recognised_bare_and_in_an_envelope_of_any_field(document):
    assert tool_call_of(said(document)) == ToolCall("list_clusters", 7)


@pytest.mark.parametrize(
    "document",
    [
        {"type": "hello"},
        {"method": "tools/call", "params": {"name": "x"}},
        {"a": {"b": CALL}},
        {"payload": [CALL]},
    ],
)
def test_other_shapes_are_passed_over(document):
    assert said(document) is None


def test_with_a_named_field_no_other_is_looked_into():
    assert said({"payload": CALL}, "payload") is not None
    assert said({"other": CALL}, "payload") is None


def test_a_cancelled_request_is_named():
    params = {"requestId": 7}
    message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}

    assert cancelled_id(said({"payload": message})) == 7
    assert cancelled_id(said(CALL)) is None
