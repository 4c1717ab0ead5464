"""Messages of MCP about tasks: tool calls that go on after the response to their request. Pure.

Two eras have them. In MCP 2025-11-25 (basic/utilities/tasks) the result of a call holds a `task`,
`tasks/get` tells its status, and `tasks/result` brings what the call would have brought. In the
extension `io.modelcontextprotocol/tasks` of MCP 2026-07-28 the result *is* the task, `tasks/get`
tells its status with its result or error, and `tasks/cancel` is only acknowledged. In both,
notifications may tell the status.

The time of the end is when a message about it passed: a task's `lastUpdatedAt` is what the server
claims, and servers exist that set it to the time of the question.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from audit_log.record import ToolOutcome
from proxy.audit.exchange import STATUS_CLIENT_CLOSED
from proxy.mcp.json_stream import Path, Scalar, Values

TaskKey = bytes
"""Stands for a task's id, which is opaque, and may be as long as the server likes."""

_TOO_LARGE_CODE: Final = 2**31
"""JSON-RPC does not bound error codes; the column in the table is an integer of 4 bytes."""
TASK_REQUEST_PATHS: Final[frozenset[Path]] = frozenset({("params", "taskId")})
_FIELDS: Final[tuple[Path, ...]] = (
    *(("taskId",), ("status",), ("ttl",), ("ttlMs",)),
    *(("result",), ("result", "isError"), ("error",), ("error", "code")),
)
TASK_RESPONSE_PATHS: Final[frozenset[Path]] = frozenset(
    {("result", *field) for field in _FIELDS}
    | {("result", "task", field) for field in ("taskId", "status", "ttl")}
)
_RELATED: Final[Path] = ("params", "_meta", "io.modelcontextprotocol/related-task", "taskId")
"""In what a server sends for a task, such as a question (2025-11-25)."""
TASK_NEWS_PATHS: Final[frozenset[Path]] = frozenset(
    {("params", *field) for field in _FIELDS} | {_RELATED}
)
"""Of what a server sends by itself. To look for them makes a notification more costly to read."""
TASK_NEWS_WORDS: Final = (b'"taskId"',)
"""Each notification about a task holds it."""


_SAID: Final = {
    "working": (ToolOutcome.WORKING, 202),
    "input_required": (ToolOutcome.ASKED, 202),
    "completed": (ToolOutcome.OK, 200),
    "failed": (ToolOutcome.TOOL_ERROR, 500),
    "cancelled": (ToolOutcome.CANCELLED, STATUS_CLIENT_CLOSED),
}
_ACKNOWLEDGED: Final = {
    "tasks/cancel": _SAID["cancelled"],
    "tasks/update": _SAID["working"],
}
"""What a response without a status means. That to `tasks/cancel` does not say whether the task has
stopped: servers acknowledge the cancellation of a task that has completed, too."""


@dataclass(frozen=True, slots=True)
class TaskNews:
    """What a message says about a task."""

    task: TaskKey
    outcome: ToolOutcome
    """WORKING, ASKED or how it ended."""
    status: int = 202
    """As in a `ToolResponse`."""
    error_code: int | None = None
    is_final: bool = False
    """Whether no other message can tell more."""
    ttl_seconds: float | None = None
    """How long the server keeps it, if it says so."""


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A request of the client about a task."""

    method: str
    task: TaskKey
    is_declined: bool | None = None
    """As in a `ToolCall`: `tasks/update` answers what a task asked."""


def task_request_of(values: Values) -> TaskRequest | None:
    """Return the request about a task in a message, or None."""
    method, task = values.get(("method",)), _key(values.get(("params", "taskId")))
    if not isinstance(method, str) or not method.startswith("tasks/") or task is None:
        return None
    return TaskRequest(method, task)


def related_task(values: Values) -> TaskKey | None:
    """Return the task for which a request of the server was sent, or None."""
    return _key(values.get(_RELATED))


def task_begun_by(values: Values) -> TaskNews | None:
    """Return the task that a tool call has become by its response, or None."""
    if values.get(("result", "resultType")) == "task":
        return _news(values, ("result",))
    return _news(values, ("result", "task"))


def task_news_of(values: Values, asked: TaskRequest | None) -> TaskNews | None:
    """Return what a message says about a task; *asked* is what it responds to, if it does."""
    method = values.get(("method",))
    if isinstance(method, str):
        is_news = method.startswith("notifications/tasks")
        return _news(values, ("params",)) if is_news else None
    if asked is None:
        return None
    if asked.method == "tasks/result":
        return _result(values, (), asked.task)
    if ("result", "status") in values:
        return _news(values, ("result",))
    if ("result",) in values and asked.method in _ACKNOWLEDGED:
        outcome, status = _ACKNOWLEDGED[asked.method]
        return TaskNews(asked.task, outcome, status)
    return None


def _news(values: Values, at: Path) -> TaskNews | None:
    task, said = _key(values.get((*at, "taskId"))), values.get((*at, "status"))
    if task is None or not isinstance(said, str) or said not in _SAID:
        return None
    outcome, status = _SAID[said]
    if said in {"completed", "failed"} and (found := _result(values, at, task)) is not None:
        return found
    is_final = said == "cancelled"
    return TaskNews(task, outcome, status, None, is_final, _ttl_seconds(values, at))


def _result(values: Values, at: Path, task: TaskKey) -> TaskNews | None:
    """Return what the result or the error at *at* says, or None if there is neither."""
    if (*at, "error") in values and values[(*at, "error")] is True:
        number = error_code(values.get((*at, "error", "code")))
        return TaskNews(task, ToolOutcome.PROTOCOL_ERROR, 400, number, is_final=True)
    if (*at, "result") not in values or values[(*at, "result")] is not True:
        return None
    if values.get((*at, "result", "isError")) is True:
        return TaskNews(task, ToolOutcome.TOOL_ERROR, 500, is_final=True)
    return TaskNews(task, ToolOutcome.OK, 200, is_final=True)


def error_code(code: Scalar) -> int | None:
    """Return the code of a JSON-RPC error as it is recorded; None if it is none, or too large."""
    return int(code) if isinstance(code, (int, float)) and abs(code) < _TOO_LARGE_CODE else None


def _key(task: Scalar) -> TaskKey | None:
    if not isinstance(task, str):
        return None
    return hashlib.blake2b(task.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _ttl_seconds(values: Values, at: Path) -> float | None:
    ttl = values.get((*at, "ttlMs"), values.get((*at, "ttl")))
    is_number = isinstance(ttl, (int, float)) and not isinstance(ttl, bool)
    return max(0.0, float(ttl) / 1_000) if is_number and ttl is not None else None
