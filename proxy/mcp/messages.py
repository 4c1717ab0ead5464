"""JSON-RPC messages of MCP about tool calls. Pure."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from audit_log.record import Claim, ToolOutcome
from proxy.http.target import printable
from proxy.mcp.agents.agent import AGENT_PATHS, NEGOTIATION_PATHS, Client, client_in_meta
from proxy.mcp.agents.claims import NO_CLAIMS, Claims
from proxy.mcp.json_stream import ANY, Path, Scalar, Values
from proxy.mcp.lasting.task_messages import (
    TASK_REQUEST_PATHS,
    TASK_RESPONSE_PATHS,
    TaskNews,
    error_code,
    task_begun_by,
)

MAX_TOOL_CHARACTERS: Final = 128
"""MCP, server/tools: a name should have 1 to 128 characters. A longer one is cut in the record."""
GOES_ON: Final = 202
"""The status of a tool call that has not ended."""
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602

_TRACESTATE: Final[Path] = ("params", "_meta", "tracestate")
_ANSWERS: Final[Path] = ("params", "inputResponses")
_STATE: Final[Path] = ("params", "requestState")
REQUEST_PATHS: Final[frozenset[Path]] = frozenset(
    {("method",), ("id",), ("params", "name"), ("params", "_meta", "traceparent")}
    | {_TRACESTATE}
    | {("params", "requestId"), ("result", "action"), _STATE, _ANSWERS, (*_ANSWERS, ANY, "action")}
    | AGENT_PATHS
    | TASK_REQUEST_PATHS
)
RESPONSE_PATHS: Final[frozenset[Path]] = frozenset(
    {("id",), ("method",), ("result",), ("result", "isError"), ("error",), ("error", "code")}
    | {("error", "message"), ("result", "resultType"), ("result", "requestState")}
    | NEGOTIATION_PATHS
    | TASK_RESPONSE_PATHS
)
RESPONSE_WORDS: Final = (
    *(b'"result"', b'"error":', b'"error" ', b'"error"\t'),
    b"elicitation",
)
"""Each response, and each question, holds one of them. A log message may say `"level":"error"`,
and none of them."""
_ENCODED: Final = re.compile(r"=\?base64\?([A-Za-z0-9+/]*={0,2})\?=", re.IGNORECASE)


_NO_SUCH_TOOL: Final = re.compile(r"(?is)unknown tool.*|tool .* not found")
"""As MCP words it (server/tools, errors), and as the SDK for TypeScript does."""
_WHOLE_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]{1,64}\s*", re.ASCII)

JsonRpcId = str | int | float
"""As `one_id` returns it: a whole number is never text."""
StateDigest = bytes
"""Stands for a `requestState`, which is opaque, and may be as long as the server likes."""
_REFUSALS: Final = frozenset({"decline", "cancel"})
_MAX_ANSWERS: Final = 16
"""With more answers in a request it is not said that all of them are refusals."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A `tools/call` request."""

    tool: str
    rpc_id: JsonRpcId | None
    traceparent: str | None = None
    tracestate: str | None = None
    state: StateDigest | None = None
    """Of the `requestState` that the server sent with its questions."""
    has_answers: bool = False
    """Whether it answers what the tool asked, so that it is a further round of a tool call."""
    is_declined: bool | None = None
    """Whether each elicitation that it answers was declined; None if it answers none."""
    client: Client | None = None
    """What the message itself says of the client."""
    claims: Mapping[str, Claim] | None = None

    @property
    def continues(self) -> bool:
        """Whether it is a further round of a tool call (MCP 2026-07-28, multi round-trip)."""
        return self.has_answers or self.state is not None


@dataclass(frozen=True, slots=True)
class ToolResponse:
    """The response to a JSON-RPC request. Its id tells whether that was a tool call."""

    rpc_id: JsonRpcId | None
    outcome: ToolOutcome
    status: int
    """As an HTTP status, for entries whose method is TOOL."""
    error_code: int | None = None
    state: StateDigest | None = None
    """Of the `requestState` that the next round will bring, if it is ASKED."""
    task: TaskNews | None = None
    """What the tool call has become, if it is WORKING."""


def one_id(given: Scalar) -> JsonRpcId | None:
    """Return a JSON-RPC id as the key that stands for it; None if *given* is no id.

    `"7"`, `7` and `7.0` are one id. The SDKs take them for one: Python's for `int()`, those in
    TypeScript for `Number()`; both read white space, a sign and zeros before the digits as well.
    """
    if isinstance(given, str):
        return int(given) if _WHOLE_NUMBER.fullmatch(given) else given
    return given if isinstance(given, (int, float)) and not isinstance(given, bool) else None


def tool_call_of(values: Values, claims: Claims = NO_CLAIMS) -> ToolCall | None:
    """Return the tool call in a message with its *claims*, or None if it is another message."""
    if values.get(("method",)) != "tools/call":
        return None
    name = values.get(("params", "name"))
    traceparent = values.get(("params", "_meta", "traceparent"))
    tracestate = values.get(_TRACESTATE)
    return ToolCall(
        tool=tool_name(name if isinstance(name, str) else ""),
        rpc_id=_id_at(("id",), values),
        traceparent=traceparent if isinstance(traceparent, str) else None,
        tracestate=tracestate if isinstance(tracestate, str) else None,
        state=_digest(values.get(_STATE)),
        has_answers=_ANSWERS in values and values[_ANSWERS] is True,
        is_declined=declines(values),
        client=client_in_meta(values),
        claims=claims.of(values),
    )


def declines(values: Values) -> bool | None:
    """Return whether each elicitation that a request answers is declined; None without any."""
    actions = [
        said
        for path, said in values.items()
        if path[:2] == _ANSWERS and path[3:] == ("action",)
    ]  # fmt: skip
    if not actions:
        return None
    return len(actions) <= _MAX_ANSWERS and all(action in _REFUSALS for action in actions)


def asks_client(values: Values) -> bool:
    """Return whether a message of the server asks the client (MCP before 2026-07-28)."""
    return values.get(("method",)) == "elicitation/create" and rpc_id_of(values) is not None


def answer_of(values: Values) -> bool | None:
    """Return whether the response of a client declines what it was asked; None without one."""
    if ("method",) in values or ("result", "action") not in values:
        return None
    return values[("result", "action")] in _REFUSALS


def cancelled_id(values: Values) -> JsonRpcId | None:
    """Return the id of the request that a message cancels, or None."""
    if values.get(("method",)) != "notifications/cancelled":
        return None
    return _id_at(("params", "requestId"), values)


def tool_response_of(values: Values) -> ToolResponse | None:
    """Return the response in a message, or None for requests and notifications."""
    if ("method",) in values:
        return None
    rpc_id = _id_at(("id",), values)
    if ("error",) in values:
        number = error_code(values.get(("error", "code")))
        status = 404 if _names_no_tool(number, values.get(("error", "message"))) else 400
        return ToolResponse(rpc_id, ToolOutcome.PROTOCOL_ERROR, status, number)
    if ("result",) not in values:
        return None
    return _result(rpc_id, values)


def _result(rpc_id: JsonRpcId | None, values: Values) -> ToolResponse:
    if values.get(("result", "resultType")) == "input_required":
        state = _digest(values.get(("result", "requestState")))
        return ToolResponse(rpc_id, ToolOutcome.ASKED, GOES_ON, state=state)
    task = task_begun_by(values)
    if task is not None:
        return ToolResponse(rpc_id, ToolOutcome.WORKING, GOES_ON, task=task)
    if values.get(("result", "isError")) is True:
        return ToolResponse(rpc_id, ToolOutcome.TOOL_ERROR, 500)
    return ToolResponse(rpc_id, ToolOutcome.OK, 200)


def named_by_header(value: bytes) -> str:
    """Return the tool in an `Mcp-Name` field, decoded (MCP 2026-07-28, transports)."""
    text = value.decode("utf-8", "replace")
    if found := _ENCODED.fullmatch(text):
        try:
            return tool_name(base64.b64decode(found[1], validate=True).decode("utf-8", "replace"))
        except binascii.Error:
            pass  # the name only looks encoded
    return tool_name(text)


def tool_name(name: str) -> str:
    """Return *name* as it is recorded: printable and of bounded length."""
    return printable(name.encode("utf-8", "surrogatepass"))[:MAX_TOOL_CHARACTERS]


def tool_path(tool: str) -> str:
    """Return the path of a `TOOL` entry, with the name percent-encoded."""
    return "/mcp/tool/" + quote(tool, safe="")


def rpc_id_of(values: Values) -> JsonRpcId | None:
    """Return the id of a message, or None."""
    return _id_at(("id",), values)


def _id_at(path: Path, values: Values) -> JsonRpcId | None:
    return one_id(values.get(path))


def _digest(state: Scalar) -> StateDigest | None:
    if not isinstance(state, str):
        return None
    return hashlib.blake2b(state.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _names_no_tool(code: int | None, message: Scalar) -> bool:
    """Return whether an error means that there is no such tool (MCP, server/tools, errors)."""
    says_so = isinstance(message, str) and _NO_SUCH_TOOL.fullmatch(message)
    return code == METHOD_NOT_FOUND or (code == INVALID_PARAMS and bool(says_so))
