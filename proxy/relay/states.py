"""The states of a client connection, and what may follow what.

Each call passes several states. Until Python 3.12 `State.IDLE` is looked up by a Python function,
and so is the hash of a member, hence the constants.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final


class State(Enum):
    """What a client connection is doing."""

    __hash__ = object.__hash__
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


IDLE: Final = State.IDLE
HEAD: Final = State.HEAD
WAITING: Final = State.WAITING
FORWARDING: Final = State.FORWARDING
RESPONDED: Final = State.RESPONDED
TUNNEL: Final = State.TUNNEL
FAREWELL: Final = State.FAREWELL
ENDED: Final = State.ENDED

MAY_FOLLOW: Final[Mapping[State, frozenset[State]]] = {
    IDLE: frozenset({HEAD, WAITING, FAREWELL, ENDED}),
    HEAD: frozenset({WAITING, FAREWELL, ENDED}),
    WAITING: frozenset({FORWARDING, IDLE, FAREWELL, ENDED}),
    FORWARDING: frozenset(
        {
            WAITING,  # the request is retried on another connection
            RESPONDED,
            IDLE,
            TUNNEL,
            FAREWELL,
            ENDED,
        }
    ),
    RESPONDED: frozenset({IDLE, FAREWELL, ENDED}),
    TUNNEL: frozenset({FAREWELL, ENDED}),
    FAREWELL: frozenset({ENDED}),
    ENDED: frozenset(),
}
"""Which states may follow which. A retry goes back to WAITING; nothing follows ENDED."""

READS_HEADS: Final = frozenset({IDLE, HEAD})
"""What is received belongs to the next request."""
READS_CONTENT: Final = frozenset({FORWARDING, RESPONDED, TUNNEL})
"""What is received belongs to the request that has begun."""
IS_IDLE: Final = frozenset({IDLE, HEAD, RESPONDED})
"""No response is owed. A client that began a head and does not go on counts as idle."""
