"""Tool calls of MCP sessions, where later requests of the same client find them again.

Before 2026-07-28 the answer to a request may come on another stream than that of the request, and
a request is cancelled by another one. Both are found by token and session: the ids of JSON-RPC
requests are the client's choice, so alone they mean nothing.
"""

import asyncio
from typing import Final, Protocol

from proxy.mcp.messages import JsonRpcId, ToolResponse

MAX_LEFT: Final = 1_000
"""Tool calls whose stream has ended without their answer. Beyond, the oldest is given up."""
LEFT_SECONDS: Final = 600
"""How long we wait for such an answer to be fetched."""

SessionKey = tuple[str, str]
"""Whose it is, and its `Mcp-Session-Id`."""


class SessionCall(Protocol):
    """A tool call of a session."""

    rpc_id: JsonRpcId | None
    """The id of its JSON-RPC request."""

    def end(self, answer: ToolResponse) -> None:
        """Learn how it ended."""

    def give_up(self) -> None:
        """Learn that nobody waits for its answer any more."""


class Sessions:
    """The tool calls of all sessions that have not ended."""

    def __init__(self) -> None:
        self._open: dict[SessionKey, list[SessionCall]] = {}
        self._left: dict[SessionCall, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """Return how many tool calls are known."""
        return sum(map(len, self._open.values()))

    def add(self, key: SessionKey, call: SessionCall) -> None:
        """Let *call* be found."""
        self._open.setdefault(key, []).append(call)

    def find(self, key: SessionKey, rpc_id: JsonRpcId | None) -> SessionCall | None:
        """Return the oldest tool call with that id; in another session it is another one."""
        return next((call for call in self._open.get(key, ()) if call.rpc_id == rpc_id), None)

    def leave(self, call: SessionCall) -> None:
        """Learn that the stream of *call* has ended, though its answer may still be fetched."""
        if len(self._left) >= MAX_LEFT:
            next(iter(self._left)).give_up()
        loop = asyncio.get_running_loop()
        self._left[call] = loop.call_later(LEFT_SECONDS, call.give_up)

    def remove(self, key: SessionKey, call: SessionCall) -> None:
        """Learn that *call* has ended."""
        self._open[key].remove(call)
        if not self._open[key]:
            del self._open[key]
        if timer := self._left.pop(call, None):
            timer.cancel()
