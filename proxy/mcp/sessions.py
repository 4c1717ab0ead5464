"""Tool calls of MCP sessions, found again by later requests of the same client.

In MCP before 2026-07-28 the response to a request may come on another stream, and a request is
cancelled by another request. The server asks the client by a request of its own on a stream, and
the client responds by a POST. All are matched by token and session: client and server choose the
ids of their JSON-RPC requests, so an id alone proves nothing.
"""

from typing import Final, Protocol

from proxy.mcp.by_id import CallsByKey
from proxy.mcp.lasting.later import Later, Timer, later
from proxy.mcp.messages import JsonRpcId, ToolResponse

MAX_LEFT: Final = 1_000
"""Tool calls whose stream ended without their response. Beyond, the oldest is given up."""
LEFT_SECONDS: Final = 600
"""How long such a response may be fetched later, and the tool may be at work."""
_MAX_QUESTIONS: Final = 16
"""Of one tool call, without an answer. More are not followed."""

SessionKey = tuple[str, str]
"""The key of the caller (`Source.key`), and the `Mcp-Session-Id`."""


Question = tuple[SessionKey, JsonRpcId]
"""The session in which the server asks, and the id of its request."""


class AskingCall(Protocol):
    """A tool call for which the server may ask the client."""

    questions: set[Question]
    """Those without an answer."""
    is_declined: bool
    """Whether the client declined what it was last asked for."""


class SessionCall(Protocol):
    """A request of a session that calls a tool."""

    rpc_id: JsonRpcId | None
    """Its id."""

    @property
    def call(self) -> AskingCall:
        """The tool call."""

    def end(self, response: ToolResponse) -> None:
        """Record the tool call with its *response*."""

    def cancel(self) -> None:
        """Record that its client has cancelled it."""

    def give_up(self) -> None:
        """Record the tool call as it was left: its response can no longer be fetched."""


class Sessions:
    """The tool calls of all sessions that have not ended."""

    def __init__(self, later: Later = later) -> None:
        """Give up by *later*."""
        self._later = later
        self._open = CallsByKey[tuple[SessionKey, JsonRpcId | None], SessionCall]()
        self._of_session = CallsByKey[SessionKey, SessionCall]()
        self._left: dict[SessionCall, Timer] = {}
        self._questions: dict[Question, AskingCall] = {}

    def __len__(self) -> int:
        """Return how many tool calls are known."""
        return len(self._open)

    def add(self, key: SessionKey, call: SessionCall) -> None:
        """Make *call* findable."""
        self._open.add((key, call.rpc_id), call)
        self._of_session.add(key, call)

    def find(self, key: SessionKey, rpc_id: JsonRpcId | None) -> SessionCall | None:
        """Return the oldest tool call of the session *key* with that id, or None."""
        return self._open.find((key, rpc_id))

    def the_one_in(self, key: SessionKey) -> SessionCall | None:
        """Return the tool call of the session *key* if there is one only."""
        return self._of_session.find_only(key)

    def end(self, key: SessionKey) -> None:
        """Record the tool calls of the session *key* as cancelled: its client has ended it."""
        for call in self._of_session.find_all(key):
            call.cancel()

    def ask(self, key: SessionKey, rpc_id: JsonRpcId | None, call: AskingCall | None) -> None:
        """Note that the server asks the client for *call*, if it is known for which."""
        if call is not None and rpc_id is not None and len(call.questions) < _MAX_QUESTIONS:
            call.questions.add((key, rpc_id))
            self._questions[key, rpc_id] = call

    def answer(self, key: SessionKey, rpc_id: JsonRpcId | None, *, is_declined: bool) -> None:
        """Note what the client of the session *key* answered, if it was asked."""
        call = None if rpc_id is None else self._questions.pop((key, rpc_id), None)
        if call is not None and rpc_id is not None:
            call.questions.discard((key, rpc_id))
            call.is_declined = is_declined

    def ask_no_more(self, call: AskingCall) -> None:
        """Forget what the server asked for *call*, which has ended."""
        for question in call.questions:
            if self._questions.get(question) is call:
                del self._questions[question]
        call.questions.clear()

    def leave(self, call: SessionCall) -> None:
        """Note that the stream of *call* has ended, and that its response may still be fetched."""
        if len(self._left) >= MAX_LEFT:
            next(iter(self._left)).give_up()
        self._left[call] = self._later(LEFT_SECONDS, call.give_up)

    def remove(self, call: SessionCall) -> None:
        """Forget *call*, which has ended."""
        self._of_session.remove(call)
        self._open.remove(call)
        if timer := self._left.pop(call, None):
            timer.cancel()
