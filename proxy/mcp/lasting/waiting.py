"""Tool calls that have asked their client for something, found again by its next round.

In MCP 2026-07-28 (basic/patterns, multi round-trip requests) a server asks by the result of a
request, and the client makes the same request again with its answers. It echoes the `requestState`
of the result, if there was one. Nothing else ties the two requests: JSON-RPC ids differ.
"""

from typing import Final, Generic, Protocol, TypeVar

from proxy.mcp.by_id import CallsByKey
from proxy.mcp.messages import StateDigest, ToolCall

ASKED_SECONDS: Final = 3_600.0
"""So long a tool call waits for its next round. Servers of the official SDK let state expire after
ten minutes."""

RoundKey = tuple[str, str, StateDigest | None]
"""The key of the caller (`Source.key`), the tool, and the state that the client is to echo."""


class WaitingCall(Protocol):
    """A tool call that waits for its client."""

    may_have_gone_on: bool
    """Whether there was a round that may have been its own."""


Call = TypeVar("Call", bound=WaitingCall)


class Waiting(Generic[Call]):
    """The tool calls that wait for the next round."""

    def __init__(self) -> None:
        self._calls = CallsByKey[RoundKey, Call]()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._calls)

    def add(self, key: RoundKey, call: Call) -> None:
        """Have *call* found by the round that *key* describes."""
        self._calls.add(key, call)

    def find(self, caller: str, said: ToolCall) -> Call | None:
        """Return the tool call of *caller* of which *said* is the next round, or None.

        Between several there is no choice: each may have gone on.
        """
        if not said.continues:
            return None
        found = self._calls.find_all((caller, said.tool, said.state))
        if len(found) == 1:
            return found[0]
        for call in found:
            call.may_have_gone_on = True
        return None

    def have_asked(self, caller: str, said: ToolCall) -> bool:
        """Return whether *said* may answer any of those that wait for *caller*."""
        return bool(self._calls.find_all((caller, said.tool, said.state)))

    def remove(self, call: Call) -> None:
        """Forget *call*, which goes on or has ended."""
        self._calls.remove(call)
