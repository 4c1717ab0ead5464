"""How many clients may be connected, and which connection makes room for another.

Theory of operation. Each connection takes a file, and its request perhaps another one for the
upstream. Without files there would be no connection to the upstream, to the database, or to the
ops port. So clients take a share of the files, and beyond it an idle connection is ended: first
one that has never sent a request, the longest connected of them, then the one that has been idle
for longest. A client that has sent a request is therefore not pushed out by those who only
connect. If no connection is idle, the new one is refused. Busy connections are kept apart, so
finding an idle one costs the same however many there are.
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable
from typing import Final, Protocol

import structlog

from audit_log.process.changes import LoggedState
from proxy.relay.upstream_pool import MAX_IDLE_CONNECTIONS

MAX_CLIENTS: Final = 16_384
"""As many as there are slots; each takes some kilobytes, also while it is idle."""
MADE_ROOM: Final = "client_made_room"
REFUSED: Final = "client_refused"
_SHARES: Final = 3
"""Of the files: for clients, for their requests upstream, and for idle upstream connections."""
_UPSTREAMS: Final = 3
_ROOM_AGAIN: Final = 0.9
_ADVICE: Final = "raise the limit of open files (ulimit -n, LimitNOFILE)"
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Occupant(Hashable, Protocol):
    """A client connection, as far as the limit needs it."""

    def make_room(self) -> None:
        """End at once."""


class ClientLimit:
    """The connections of all ports that clients use, and how many there may be."""

    def __init__(self, files: int, oddities: Counter[str]) -> None:
        """Let clients take a third of *files*; count in *oddities* which had to go."""
        self.at_most = min(MAX_CLIENTS, max(1, files // _SHARES))
        self._oddities = oddities
        self._silent: OrderedDict[Occupant, None] = OrderedDict()
        """Those that have never sent a request, in the order of their arrival."""
        self._known: OrderedDict[Occupant, None] = OrderedDict()
        """Those that were served and are idle, in the order in which they were served last."""
        self._busy: set[Occupant] = set()
        """Those that are owed a response."""
        self._state = LoggedState(log, fails="clients.limit_reached", works="clients.limit_left")

    def __len__(self) -> int:
        return len(self._silent) + len(self._known) + len(self._busy)

    @property
    def problem(self) -> str | None:
        """What `/readyz` says of the limit, or None."""
        self._note()
        return self._state.reason

    def admit(self, connection: Occupant) -> bool:
        """Take in *connection*, after making room if there is none; return whether it may stay."""
        if len(self) >= self.at_most:
            self._state.note(f"the limit of {self.at_most} clients is reached: {_ADVICE}")
            if not self._has_made_room():
                self._oddities[REFUSED] += 1
                return False
        elif self._state.is_failing:
            self._note()
        self._silent[connection] = None
        return True

    def begun(self, connection: Occupant) -> None:
        """Learn that *connection* has sent a request: it is owed a response."""
        if connection in self._known:
            del self._known[connection]
        elif connection in self._silent:
            del self._silent[connection]
        else:
            return
        self._busy.add(connection)

    def served(self, connection: Occupant) -> None:
        """Learn that *connection* has had a response."""
        if connection in self._busy:
            self._busy.remove(connection)
            self._known[connection] = None

    def leave(self, connection: Occupant) -> None:
        """Learn that *connection* has ended."""
        self._silent.pop(connection, None)
        self._known.pop(connection, None)
        self._busy.discard(connection)

    def _has_made_room(self) -> bool:
        idle = self._silent or self._known
        if not idle:
            return False
        self._oddities[MADE_ROOM] += 1
        spare, _ = idle.popitem(last=False)
        spare.make_room()
        return True

    def _note(self) -> None:
        if len(self) < self.at_most * _ROOM_AGAIN:
            self._state.note(None)


def most_idle(files: int) -> int:
    """Return how many idle connections each upstream may keep, when there are so many *files*."""
    return min(MAX_IDLE_CONNECTIONS, files // _SHARES // _UPSTREAMS)
