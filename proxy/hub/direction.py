"""Reads the JSON-RPC messages in one direction of a tunnel, and says what could not be read."""

from typing import Protocol

from proxy.audit.tally import Tally
from proxy.hub.shapes import unwrapped
from proxy.mcp.budget import TUNNELLED, Budget
from proxy.mcp.json_stream import JsonStream, Path, Trouble, Values


class Direction(Protocol):
    """What the messages of one direction mean."""

    def received(self, message: Values) -> None:
        """Receive a JSON-RPC message."""

    def missed(self) -> None:
        """Learn that a message could not be read, which may have been about a tool call."""

    def context_lost(self) -> None:
        """Learn that no compressed message can be read from now on."""

    def closed(self) -> None:
        """Learn that no message follows."""


class TunnelMessages:
    """A `MessageReader`. Each message is a document of its own, with a budget of its own."""

    def __init__(self, wanted: frozenset[Path], direction: Direction, tally: Tally) -> None:
        """Hand what is at the paths *wanted* to *direction*; count the rest in *tally*."""
        self._budget = Budget(TUNNELLED)
        self._stream = JsonStream(wanted, self._found, self._budget)
        self._direction = direction
        self._oddities = tally.oddities

    def feed(self, data: bytes) -> None:
        """Read a piece of a message."""
        self._budget.grant(len(data))
        self._stream.feed(data)

    def reset(self) -> None:
        """Judge the message that has ended, and begin the next one."""
        trouble = self._stream.trouble
        self._begin()
        if trouble is not None:
            self._oddities["hub_message_unreadable"] += 1
        if trouble is Trouble.TOO_COSTLY:
            self._direction.missed()

    def unread(self) -> None:
        """Count a message whose frames could not be read."""
        self._begin()
        self._oddities["hub_message_unreadable"] += 1
        self._direction.missed()

    def context_lost(self) -> None:
        """Count a tunnel in which compressed messages can no longer be read."""
        self._oddities["hub_tunnel_not_understood"] += 1
        self._direction.context_lost()

    def closed(self) -> None:
        """Pass on that no message follows."""
        self._direction.closed()

    def _begin(self) -> None:
        self._stream.reset()
        self._budget.renew()

    def _found(self, values: Values) -> None:
        message = unwrapped(values)
        if message is None:
            self._oddities["hub_message_of_unknown_shape"] += 1
        else:
            self._direction.received(message)
