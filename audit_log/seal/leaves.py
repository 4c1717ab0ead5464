"""The leaves of consecutive journal lines, and those of which the data must be stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from audit_log.record import UNFINISHED, Event, Gap, Invocation, Outcome, RecordRow, ToolOutcome
from audit_log.seal.leaf import (
    MISSING,
    VOID,
    entry_leaves,
    event_leaf,
    gap_leaf,
    tool_call_leaf,
)
from audit_log.seal.places import LEAVES_PER_TILE, LINES_PER_TILE, Sealing
from audit_log.seal.times import second_of, seconds_of
from audit_log.seal.tree import leaf_hash, leaf_hashes

AnyLine = RecordRow | Invocation | Gap | Event
Item = TypeVar("Item", bound=AnyLine)
# A call that ended may be recorded as interrupted too, after a kill between its record and the
# release of its slot. The store keeps the first of the two.
_INTERRUPTED: Final = Outcome.INTERRUPTED.value
_NOT_LAST: Final = UNFINISHED | {ToolOutcome.INTERRUPTED}


@dataclass(frozen=True, slots=True)
class LeafNote:
    """Leaf data that is stored, because no row gives it, or perhaps none."""

    line: int
    """The number of its line, or of the first of several that have the same."""
    count: int
    """How many lines have it."""
    data: bytes


def place_rows(rows: Sequence[RecordRow], number: int, sealing: Sealing) -> None:
    """Give *rows*, which are the lines from *number* on, their places in the log of *sealing*."""
    log, place = sealing.log, sealing.place(number)
    for row in rows:
        row.log, row.seq = log, place
        place += 1
        if place % LEAVES_PER_TILE == LINES_PER_TILE:
            place += 1


def placed(said: Item, number: int, sealing: Sealing) -> Item:
    """Return *said*, which is line *number*, with its place. Events have no row to bear one."""
    if isinstance(said, RecordRow):
        place_rows([said], number, sealing)
    elif not isinstance(said, Event):
        return msgspec.structs.replace(said, log=sealing.log, seq=sealing.place(number))
    return said


@dataclass(slots=True)
class Leaves:
    """What the seal needs to know of consecutive lines. The other leaf data is given by rows."""

    first: int = 0
    """The number of the first line."""
    hashes: list[bytes] = field(default_factory=list)
    """The hash of each line's leaf."""
    seconds: list[int | None] = field(default_factory=list)
    """When each was made, since 1970; None for a line that does not tell."""
    notes: list[LeafNote] = field(default_factory=list)

    def add_records(self, number: int, rows: Sequence[RecordRow]) -> None:
        """Add the leaves of *rows*, which are the lines from *number* on."""
        data = entry_leaves(rows)
        if None in [row.token_name for row in rows] or _INTERRUPTED in [r.outcome for r in rows]:
            self.notes += [
                LeafNote(number + at, 1, data[at])
                for at, row in enumerate(rows)
                if row.token_name is None or row.outcome == _INTERRUPTED
            ]
        if len({row.id for row in rows}) < len(rows):
            self._note_repeated(number, rows, data)
        self._add(number, leaf_hashes(data), seconds_of([row.created_at for row in rows]))

    def add_line(self, number: int, said: AnyLine) -> None:
        """Add the leaf of one line."""
        if isinstance(said, RecordRow):
            self.add_records(number, [said])
        elif isinstance(said, Invocation):
            data = tool_call_leaf(said)
            if said.outcome in _NOT_LAST or said.token_name is None:
                self.notes.append(LeafNote(number, 1, data))
            self._add(number, [leaf_hash(data)], [second_of(said.created_at)])
        elif isinstance(said, Gap):
            self._add(number, [leaf_hash(gap_leaf(said))], [second_of(said.ended_at)])
        else:
            data = event_leaf(said)
            self.notes.append(LeafNote(number, 1, data))
            self._add(number, [leaf_hash(data)], [second_of(said.at)])

    def add_missing(self, number: int, count: int, gap: Gap) -> None:
        """Add the leaves of *count* lines that the journal has lost; the first is that of *gap*.

        The row of the gap gives it, and has no line of its own.
        """
        self.add_line(number, gap)
        self._add_alike(number + 1, count - 1, MISSING)

    def add_void(self, number: int, count: int) -> None:
        """Add the leaves of *count* lines that never were."""
        self._add_alike(number, count, VOID)

    def go_on_with(self, following: "Leaves") -> None:
        """Append the leaves of *following*, which begins where these end."""
        self._add(following.first, following.hashes, following.seconds)
        self.notes += following.notes

    def _add_alike(self, number: int, count: int, data: bytes) -> None:
        if count > 0:
            self.notes.append(LeafNote(number, count, data))
            self._add(number, [leaf_hash(data)] * count, [None] * count)

    def _add(self, number: int, hashes: Sequence[bytes], seconds: Sequence[int | None]) -> None:
        if hashes and not self.hashes:
            self.first = number
        self.hashes += hashes
        self.seconds += seconds

    def _note_repeated(
        self, number: int, rows: Sequence[RecordRow], data: Sequence[bytes]
    ) -> None:
        """Note the leaf of each row whose id an earlier row has: the store keeps the first."""
        seen: set[str] = set()
        for at, row in enumerate(rows):
            if row.id in seen:
                self.notes.append(LeafNote(number + at, 1, data[at]))
            seen.add(row.id)
