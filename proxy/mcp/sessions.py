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


class SessionCall(Protocol):
    """A tool call of a session."""

    rpc_id: JsonRpcId | None
    """The id of its JSON-RPC request."""
    questions: set[JsonRpcId]
    """The ids of the requests by which the server asked the client for it, without an answer."""

    def end(self, response: ToolResponse) -> None:
        """Record the tool call with its *response*."""

    def cancel(self) -> None:
        """Record that its client has cancelled it."""

    def answer(self, *, is_declined: bool) -> None:
        """Note that the client has answered what it was asked."""

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
        self._questions: dict[tuple[SessionKey, JsonRpcId], SessionCall] = {}

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

    def ask(self, key: SessionKey, rpc_id: JsonRpcId | None, call: SessionCall | None) -> None:
        """Note that the server asks the client for *call*, if it is known for which."""
        if call is not None and rpc_id is not None and len(call.questions) < _MAX_QUESTIONS:
            call.questions.add(rpc_id)
            self._questions[key, rpc_id] = call

    def answer(self, key: SessionKey, rpc_id: JsonRpcId | None, *, is_declined: bool) -> None:
        """Pass on what the client of the session *key* answered."""
        call = None if rpc_id is None else self._questions.pop((key, rpc_id), None)
        if call is not None and rpc_id is not None:
            call.questions.discard(rpc_id)
            call.answer(is_declined=is_declined)

    def leave(self, call: SessionCall) -> None:
        """Note that the stream of *call* has ended, and that its response may still be fetched."""
        if len(self._left) >= MAX_LEFT:
            next(iter(self._left)).give_up()
        self._left[call] = self._later(LEFT_SECONDS, call.give_up)

    def remove(self, call: SessionCall) -> None:
        """Forget *call*, which has ended."""
        key = self._of_session.remove(call)
        self._open.remove(call)
        for rpc_id in call.questions:
            if self._questions.get((key, rpc_id)) is call:
                del self._questions[key, rpc_id]
        if timer := self._left.pop(call, None):
            timer.cancel()
