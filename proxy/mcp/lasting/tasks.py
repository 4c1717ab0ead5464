"""Tool calls that have become tasks, found again by what passes about their tasks."""

from typing import Final, Generic, Protocol, TypeVar

from audit_log.record import ToolOutcome
from proxy.mcp.by_id import CallsByKey
from proxy.mcp.json_stream import Values
from proxy.mcp.lasting.task_messages import (
    TaskKey,
    TaskNews,
    TaskRequest,
    task_news_of,
    task_request_of,
)
from proxy.mcp.messages import JsonRpcId, declines, rpc_id_of
from proxy.mcp.sessions import SessionKey

TASK_SECONDS: Final = 3_600.0
"""So long a task is followed after the last message about it, if its server says nothing else."""
MAX_TASK_SECONDS: Final = 86_400.0
RESULT_SECONDS: Final = 10.0
"""So long after its end a task's result is waited for. The client may never ask for it."""
CANCELLED_SECONDS: Final = 60.0
"""So long a tool may go on that was told to stop. No message says when it has stopped."""
MAX_LEFT: Final = 1_000
"""Requests without a response when their stream ended. Beyond, the oldest is forgotten."""
_MAX_REQUESTS: Final = 100
"""Without a response, in one HTTP request or one tunnel. Beyond, the oldest is forgotten."""


class TaskCall(Protocol):
    """A tool call that has become a task."""

    def hear(self, news: TaskNews, asked: TaskRequest | None) -> None:
        """Learn of *news*, which respond to *asked* if they respond to anything."""


Call = TypeVar("Call", bound=TaskCall)


def followed_seconds(news: TaskNews) -> float:
    """Return how long a task is followed after *news*."""
    if news.outcome is ToolOutcome.CANCELLED:
        return CANCELLED_SECONDS
    if news.outcome.is_ending:
        return RESULT_SECONDS
    if news.ttl_seconds is None:
        return TASK_SECONDS
    return min(max(news.ttl_seconds, RESULT_SECONDS), MAX_TASK_SECONDS)


class Tasks(Generic[Call]):
    """The tool calls that go on as tasks, by caller and task."""

    def __init__(self) -> None:
        self._calls = CallsByKey[tuple[str, TaskKey], Call]()
        self._left: dict[tuple[SessionKey, JsonRpcId], TaskRequest] = {}
        """Requests whose stream has ended, by session and id."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._calls)

    def add(self, caller: str, task: TaskKey, call: Call) -> None:
        """Follow *call*."""
        self._calls.add((caller, task), call)

    def find(self, caller: str, task: TaskKey) -> Call | None:
        """Return the one tool call of *caller* that has become *task*, or None."""
        return self._calls.find_only((caller, task))

    def remove(self, call: Call) -> None:
        """Follow *call* no longer: it has ended."""
        self._calls.remove(call)

    def hear(self, caller: str, values: Values, asked: TaskRequest | None = None) -> None:
        """Pass on what a message to *caller*, which responds to *asked*, says about a task."""
        news = task_news_of(values, asked) if len(self._calls) else None
        if news is not None:
            for call in self._calls.find_all((caller, news.task)):
                call.hear(news, asked)

    def leave(self, session: SessionKey, rpc_id: JsonRpcId, asked: TaskRequest) -> None:
        """Note that the response to *asked* may come on another stream of *session*."""
        if self.find(session[0], asked.task) is None:
            return  # it tells of nothing that is followed
        self._left.pop((session, rpc_id), None)
        if len(self._left) >= MAX_LEFT:
            del self._left[next(iter(self._left))]
        self._left[session, rpc_id] = asked

    def resume(self, session: SessionKey, values: Values) -> None:
        """Pass on what a message on another stream of *session* says about a task."""
        rpc_id = None if ("method",) in values else rpc_id_of(values)
        asked = None if rpc_id is None else self._left.pop((session, rpc_id), None)
        self.hear(session[0], values, asked)


class TaskRequests:
    """The requests about tasks in one exchange, and the responses to them."""

    def __init__(self, tasks: Tasks[Call], caller: str) -> None:
        """Pass on to *tasks* what *caller* is told."""
        self._tasks = tasks
        self._caller = caller
        self._requests: dict[JsonRpcId, TaskRequest] = {}
        self._listens = False

    @property
    def wants_response(self) -> bool:
        """Whether the response may tell about tasks."""
        return self._listens or bool(self._requests) or len(self._tasks) > 0

    def message_sent(self, values: Values) -> None:
        """Learn of a message in the request's body."""
        self._listens |= values.get(("method",)) == "subscriptions/listen"
        said, rpc_id = task_request_of(values), rpc_id_of(values)
        if said is not None and rpc_id is not None:
            if len(self._requests) >= _MAX_REQUESTS:
                del self._requests[next(iter(self._requests))]
            self._requests[rpc_id] = TaskRequest(said.method, said.task, declines(values))

    def message_received(self, values: Values) -> None:
        """Learn of a message in the response's body."""
        rpc_id = rpc_id_of(values)
        asked = self._requests.pop(rpc_id, None) if rpc_id is not None else None
        self._tasks.hear(self._caller, values, asked)

    def leave(self, session: SessionKey) -> None:
        """Note that the responses that have not come may come on another stream of *session*."""
        for rpc_id, asked in self._requests.items():
            self._tasks.leave(session, rpc_id, asked)
