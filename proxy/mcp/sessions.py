"""Tool calls of MCP sessions, found again by later requests of the same client.

In MCP before 2026-07-28 the response to a request may come on another stream, and a request is
cancelled by another request. Both are matched by token and session: a client chooses the ids of
its JSON-RPC requests, so an id alone proves nothing.
"""

from typing import Final, Protocol

from proxy.mcp.by_id import CallsByKey
from proxy.mcp.lasting.later import Later, Timer, later
from proxy.mcp.messages import JsonRpcId, ToolResponse

MAX_LEFT: Final = 1_000
"""Tool calls whose stream ended without their response. Beyond, the oldest is given up."""
LEFT_SECONDS: Final = 600
"""How long such a response may be fetched later."""

SessionKey = tuple[str, str]
"""The key of the caller (`Source.key`), and the `Mcp-Session-Id`."""


class SessionCall(Protocol):
    """A tool call of a session."""

    rpc_id: JsonRpcId | None
    """The id of its JSON-RPC request."""

    def end(self, response: ToolResponse) -> None:
        """Record the tool call with its *response*."""

    def give_up(self) -> None:
        """Record the tool call as it was left: its response can no longer be fetched."""


class Sessions:
    """The tool calls of all sessions that have not ended."""

    def __init__(self, later: Later = later) -> None:
        """Give up by *later*."""
        self._later = later
        self._open = CallsByKey[tuple[SessionKey, JsonRpcId | None], SessionCall]()
        self._left: dict[SessionCall, Timer] = {}

    def __len__(self) -> int:
        """Return how many tool calls are known."""
        return len(self._open)

    def add(self, key: SessionKey, call: SessionCall) -> None:
        """Make *call* findable."""
        self._open.add((key, call.rpc_id), call)

    def find(self, key: SessionKey, rpc_id: JsonRpcId | None) -> SessionCall | None:
        """Return the oldest tool call of the session *key* with that id, or None."""
        return self._open.find((key, rpc_id))

    def leave(self, call: SessionCall) -> None:
        """Note that the stream of *call* has ended, and that its response may still be fetched."""
        if len(self._left) >= MAX_LEFT:
            next(iter(self._left)).give_up()
        self._left[call] = self._later(LEFT_SECONDS, call.give_up)

    def remove(self, call: SessionCall) -> None:
        """Forget *call*, which has ended."""
        self._open.remove(call)
        if timer := self._left.pop(call, None):
            timer.cancel()
