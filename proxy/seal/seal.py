"""The seal of one journal: takes each batch that is in the store, before it is committed."""

from collections import deque
from collections.abc import Collection, Sequence
from time import monotonic
from typing import Final, Protocol

import structlog

from audit_log.errors import RecordRefusedError, StatementRefusedError
from audit_log.process.changes import LoggedState
from audit_log.seal.growing.growth import Grown, Lines
from audit_log.seal.leaf import UNSEALED, quarantined_leaf
from audit_log.seal.leaves import LeafNote, Leaves
from audit_log.seal.stored import Sealed, SealTile
from audit_log.seal.tree import leaf_hash
from proxy.seal.again import Again
from proxy.seal.kept import KeptLog

MOST_RECENT: Final = 1_024
"""How many tiles and notes are kept at most for a store that lacks them: 8 MiB."""
_OPEN_TILE_SECONDS: Final = 3_600.0
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SealStore(Protocol):
    """Where the parts of the seal are stored: the store of the records, or the stream to it."""

    async def append_sealed(self, parts: Sequence[Sealed]) -> None:
        """Keep all of *parts*; raise StoreUnavailableError or RecordRefusedError."""


class Seal:
    """Grows the tree. Used by the writer's task."""

    def __init__(self, kept: KeptLog, store: SealStore) -> None:
        self.kept = kept
        self._store = store
        self._tree = kept.state.tree()
        self._state = LoggedState(log, fails="seal.not_stored", works="seal.stored")
        self._open_tile_due = monotonic() + _OPEN_TILE_SECONDS
        self.recent: deque[Sealed] = deque(maxlen=MOST_RECENT)
        """The tiles and notes that were stored last."""
        self._again = Again()
        self._owed: list[Sealed] = []
        """What is to be stored once more."""
        self.stores = 1
        """How many stores there were: what the one before was given may be missing in the next."""

    @property
    def grown(self) -> Grown:
        """The log as it is now."""
        return Grown(self.kept.state, self._tree)

    @property
    def problem(self) -> str | None:
        """Why records are not sealed, or None."""
        reason = self._state.reason
        return None if reason is None else f"records are not sealed: {reason}"

    async def take(self, leaves: Leaves, end: int, quarantined: Collection[int]) -> None:
        """Append the leaves of a batch that is in the store; *end* is the number after its lines.

        Lines without *leaves* are unsealed. Those of which the store has *quarantined* the place
        are sealed as such. Raise StoreUnavailableError when tiles and notes cannot be stored;
        repeating the call is then harmless. If it is the statement that fails, such as for want
        of a right, records go on without: the next lines are sealed as the store allows it.
        """
        if self.stores > 1 and leaves.hashes and leaves.first < self.kept.state.next_line:
            self._owed += self._again.parts(self.kept.state, leaves)
        grown = self.grown.by(self._lines(leaves, end, quarantined))
        parts: list[Sealed] = [*self._owed, *grown.tiles, *grown.notes]
        if monotonic() > self._open_tile_due:
            parts += self._open_tile(grown)
        if parts:
            try:
                await self._store.append_sealed(parts)
            except (StatementRefusedError, RecordRefusedError) as error:
                self._state.note(str(error))
                return
            self.recent += parts
            self._owed.clear()
        self._state.note(None)
        if grown.state.next_line == self.kept.state.next_line:
            return
        self.kept.grow(grown.state)
        self._tree = grown.tree

    async def close(self) -> None:
        """Store the open tile; raise StoreUnavailableError or RecordRefusedError."""
        if tiles := self._open_tile(self.grown):
            await self._store.append_sealed(tiles)

    async def store_again(self) -> None:
        """Store again what a store that is new here may lack; raise StoreUnavailableError."""
        self.stores += 1
        self._again = Again()
        try:
            await self._store.append_sealed(list(self.recent))
        except (StatementRefusedError, RecordRefusedError) as error:
            self._state.note(str(error))

    def _open_tile(self, grown: Grown) -> list[SealTile]:
        """Return the open tile, once in a while.

        Without it a line that the retention lets go would leave no hash while its tile is open.
        """
        self._open_tile_due = monotonic() + _OPEN_TILE_SECONDS
        tile = grown.open_tile()
        return [] if tile is None else [tile]

    def _lines(self, leaves: Leaves, end: int, quarantined: Collection[int]) -> Lines:
        """Return the leaves to append: of each line from the next one on and before *end*."""
        state = self.kept.state
        lines, second = Lines(state.next_line), state.second
        if not leaves.hashes:
            lines.repeat(UNSEALED, end, second)
            return lines
        # A hole: the seal was off, or its state was lost meanwhile.
        lines.repeat(UNSEALED, leaves.first, second)
        skipped = max(state.next_line - leaves.first, 0)
        lines.hashes += leaves.hashes[skipped:]
        for known in leaves.seconds[skipped:]:
            second = second if known is None else known
            lines.seconds.append(second)
        lines.notes += [note for note in leaves.notes if note.line >= state.next_line]
        self._mark(lines, quarantined)
        return lines

    def _mark(self, lines: Lines, quarantined: Collection[int]) -> None:
        """Put other leaves in place of those that are stored without a place, or nowhere."""
        state = self.kept.state
        since, until = state.placeless
        placeless = range(max(since, lines.first), min(until, lines.end))
        for line in placeless:
            lines.hashes[line - lines.first] = leaf_hash(UNSEALED)
        aside: dict[int, bytes] = {}
        for line in filter(None, map(state.sealing.line, quarantined)):
            if lines.first <= line < lines.end and line not in placeless:
                aside[line] = data = quarantined_leaf(lines.hashes[line - lines.first])
                lines.hashes[line - lines.first] = leaf_hash(data)
        # What was quarantined keeps its own note too: a row that is named and replayed fits it.
        lines.notes += [LeafNote(line, 1, data) for line, data in aside.items()]
        if placeless:
            lines.notes = [note for note in lines.notes if note.line not in placeless]
            lines.notes.append(LeafNote(placeless.start, len(placeless), UNSEALED))
