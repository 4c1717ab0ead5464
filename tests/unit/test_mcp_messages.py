import base64

import pytest

from audit_log.record import ToolOutcome
from proxy.mcp.json_stream import Values
from proxy.mcp.messages import (
    MAX_TOOL_CHARACTERS,
    ToolCall,
    ToolResponse,
    cancelled_id,
    named_by_header,
    one_id,
    tool_call_of,
    tool_name,
    tool_path,
    tool_response_of,
)

ID = ("id",)
METHOD = ("method",)
NAME = ("params", "name")


def test_a_tool_call_is_known_by_its_method():
    assert tool_call_of({METHOD: "tools/call", ID: 1, NAME: "x"}) == ToolCall("x", 1)
    assert tool_call_of({METHOD: "tools/list", ID: 1, NAME: "x"}) is None
    assert tool_call_of({ID: 1, NAME: "x"}) is None


def test_a_tool_call_may_carry_a_trace():
    values = {METHOD: "tools/call", ID: "a", NAME: "x", ("params", "_meta", "traceparent"): "t"}

    assert tool_call_of(values) == ToolCall("x", "a", "t")


@pytest.mark.parametrize("name", [None, 7, True])
def test_a_name_that_is_no_text_is_recorded_as_none(name):
    assert tool_call_of({METHOD: "tools/call", ID: None, NAME: name}) == ToolCall("", None)


@pytest.mark.parametrize(
    ("values", "outcome", "status", "code"),
    [
        ({("result",): True}, ToolOutcome.OK, 200, None),
        ({("result",): True, ("result", "isError"): False}, ToolOutcome.OK, 200, None),
        ({("result",): True, ("result", "isError"): True}, ToolOutcome.TOOL_ERROR, 500, None),
        ({("error",): True, ("error", "code"): -32601}, ToolOutcome.PROTOCOL_ERROR, 404, -32601),
        ({("error",): True, ("error", "code"): -32602}, ToolOutcome.PROTOCOL_ERROR, 400, -32602),
        ({("error",): True, ("error", "code"): -32603}, ToolOutcome.PROTOCOL_ERROR, 400, -32603),
        ({("error",): True}, ToolOutcome.PROTOCOL_ERROR, 400, None),
    ],
)
def test_an_answer_has_an_outcome_and_a_status(values, outcome, status, code):
    assert tool_response_of({ID: 1, **values}) == ToolResponse(1, outcome, status, code)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("Unknown tool: x", 404),  # MCP, server/tools
        ("Tool x not found", 404),  # @modelcontextprotocol/server 2.4.0
        ("Tool x disabled", 400),
        ("Invalid arguments for tool x: not found", 400),
        (None, 400),
    ],
)
def test_invalid_params_say_in_words_that_there_is_no_such_tool(message, status):
    values: Values = {("error",): True, ("error", "code"): -32602, ("error", "message"): message}

    assert tool_response_of(values) == ToolResponse(
        None, ToolOutcome.PROTOCOL_ERROR, status, -32602
    )


@pytest.mark.parametrize("same", ["7", 7, 7.0, "07", " 7 ", "+7"])
def test_the_number_and_the_text_are_one_id(same):
    assert one_id(same) == 7
    call = tool_call_of({METHOD: "tools/call", ID: same, NAME: "x"})
    assert call is not None
    assert call.rpc_id == 7
    response = tool_response_of({ID: same, ("result",): True})
    assert response is not None
    assert response.rpc_id == 7
    cancelled: Values = {METHOD: "notifications/cancelled", ("params", "requestId"): same}
    assert cancelled_id(cancelled) == 7


def test_what_no_sdk_takes_for_a_number_stays_text():
    for text in ("", "7a", "7.0", "1e0", "0x7", "1_0", "\u0667", "9" * 65, "-"):
        assert one_id(text) == text
    assert one_id("9" * 20) == int("9" * 20)
    assert one_id("-0") == one_id(0)


def test_what_is_no_id_is_none():
    assert [one_id(given) for given in (None, True, False)] == [None] * 3


def test_requests_and_notifications_are_no_answers():
    assert tool_response_of({METHOD: "ping", ID: 1, ("result",): True}) is None
    assert tool_response_of({ID: 1}) is None


def test_a_code_that_no_column_holds_is_left_out():
    for code in (1e400, -(2**31) - 1, 2**31, float("nan")):
        response = tool_response_of({("error",): True, ("error", "code"): code})
        assert response is not None
        assert response.error_code is None


def test_a_cancellation_names_a_request():
    values: Values = {METHOD: "notifications/cancelled", ("params", "requestId"): 7}

    assert cancelled_id(values) == 7
    assert cancelled_id({**values, METHOD: "notifications/progress"}) is None
    assert cancelled_id({METHOD: "notifications/cancelled"}) is None


def test_a_name_in_a_field_may_be_encoded():
    encoded = base64.b64encode("über".encode())

    assert named_by_header(b"=?base64?" + encoded + b"?=") == "über"
    assert named_by_header(b"=?BASE64?" + encoded + b"?=") == "über"
    assert named_by_header(b"plain") == "plain"
    assert named_by_header(b"=?base64?A?=") == "=?base64?A?="
    assert named_by_header(b"=?base64?/w==?=") == tool_name("�")


def test_a_name_is_recorded_printable_and_of_bounded_length():
    assert tool_name("a\0b\nc\x7f") == "a%00b%0Ac%7F"
    assert tool_name("a" * 10_000) == "a" * MAX_TOOL_CHARACTERS
    assert "\ud800" not in tool_name("\ud800")
    tool_name("\ud800").encode()


def test_a_path_holds_any_name_as_one_segment():
    assert tool_path("list_clusters") == "/mcp/tool/list_clusters"
    assert tool_path("../a b?c#d/%") == "/mcp/tool/..%2Fa%20b%3Fc%23d%2F%25"
