"""What has arrived in PostgreSQL, where the writer's sink is a stream that another process reads.

Theory of operation. A committed batch is in the stream, and the journal may delete it. It has
*arrived* when receipts have come for everything that was published until its commit. The journal
keeps up to where everything has arrived, and the segments behind that place for as long as there
is room. What is missing is read again from that place on.

Receipts are known to one run alone. What the run before left between the two places is in doubt:
once a message of this run has arrived, those before it have arrived too, or are lost. They are
appended again, which is harmless.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.journal import Place
from proxy.journal.rings.going_back import GoingBack

_MOST_WAITING: Final = 1_000


class Receipts(Protocol):
    """Tells which of the messages that were published have arrived."""

    @property
    def numbered(self) -> int:
        """The number of the last message."""

    @property
    def arrived(self) -> int:
        """Every message up to this number has arrived."""

    @property
    def is_missing(self) -> bool:
        """Whether one did not arrive, and a later one has."""

    def forget(self) -> None:
        """Wait for no message that was published until now."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    place: Place
    number: int


class Arrivals:
    """Follows what has arrived. Without receipts everything has arrived that is committed."""

    def __init__(self, receipts: Receipts | None, going_back: GoingBack) -> None:
        self._receipts = receipts
        self._back = going_back
        self._waiting: deque[_Waiting] = deque()
        """Places up to which the log is committed, and the last message of each."""
        arrived, committed = going_back.arrived, going_back.committed
        self.is_in_doubt = arrived is not None and arrived.offset < committed.offset
        """Whether it is not known what of an earlier run has arrived."""
        if not self.is_in_doubt:
            going_back.arrived = None if receipts is None else committed

    @property
    def is_missing(self) -> bool:
        """Whether something must be appended again."""
        if self._receipts is None:
            return self.is_in_doubt
        return self._receipts.is_missing or (self.is_in_doubt and self._receipts.arrived > 0)

    @property
    def is_all_there(self) -> bool:
        """Whether receipts have come for all that was published in this run."""
        return self._receipts is None or self._receipts.arrived == self._receipts.numbered

    def note_committed(self) -> None:
        """Wait for the arrival of all that is committed."""
        if self._receipts is None:
            return
        self._waiting.append(_Waiting(self._back.committed, self._receipts.numbered))
        if len(self._waiting) > _MOST_WAITING:
            # Every second one: what lies between two places arrives with the later one.
            self._waiting = deque(list(self._waiting)[len(self._waiting) % 2 :: 2])
        self.look()

    def look(self) -> None:
        """Note what has arrived."""
        if self._receipts is None or self.is_in_doubt:
            return
        while self._waiting and self._waiting[0].number <= self._receipts.arrived:
            self._back.arrived = self._waiting.popleft().place

    def begin_at(self, place: Place) -> None:
        """Note that nothing from *place* on has arrived: all of it is appended again."""
        self._waiting.clear()
        self.is_in_doubt = False
        if self._receipts is None:
            self._back.arrived = None
        else:
            self._receipts.forget()
            self._back.arrived = place
