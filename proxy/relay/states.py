"""The states of a client connection, and what may follow what."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class State(Enum):
    """What a client connection is doing."""

    IDLE = auto()
    """No request has begun."""
    HEAD = auto()
    """A part of a head was received."""
    WAITING = auto()
    """A request waits: for its token to be looked up, or for a connection to the upstream."""
    FORWARDING = auto()
    """The request goes upstream as it comes in; its response has not ended."""
    RESPONDED = auto()
    """The response has ended before the request; what is left of that is discarded."""
    TUNNEL = auto()
    """Both sides changed protocols; bytes pass both ways until one side ends."""
    FAREWELL = auto()
    """The last response was sent; what still comes is discarded."""
    ENDED = auto()
    """The transport is gone."""


MAY_FOLLOW: Final[Mapping[State, frozenset[State]]] = {
    State.IDLE: frozenset({State.HEAD, State.WAITING, State.FAREWELL, State.ENDED}),
    State.HEAD: frozenset({State.WAITING, State.FAREWELL, State.ENDED}),
    State.WAITING: frozenset({State.FORWARDING, State.IDLE, State.FAREWELL, State.ENDED}),
    State.FORWARDING: frozenset(
        {
            State.WAITING,  # the request is retried on another connection
            State.RESPONDED,
            State.IDLE,
            State.TUNNEL,
            State.FAREWELL,
            State.ENDED,
        }
    ),
    State.RESPONDED: frozenset({State.IDLE, State.FAREWELL, State.ENDED}),
    State.TUNNEL: frozenset({State.FAREWELL, State.ENDED}),
    State.FAREWELL: frozenset({State.ENDED}),
    State.ENDED: frozenset(),
}
"""Which states may follow which. A retry goes back to WAITING; nothing follows ENDED."""

READS_HEADS: Final = frozenset({State.IDLE, State.HEAD})
"""What is received belongs to the next request."""
READS_CONTENT: Final = frozenset({State.FORWARDING, State.RESPONDED, State.TUNNEL})
"""What is received belongs to the request that has begun."""
IS_IDLE: Final = frozenset({State.IDLE, State.HEAD, State.RESPONDED})
"""No response is owed. A client that began a head and does not go on counts as idle."""
