"""How a log grows by the leaves of lines: tiles, times leaves and notes. Does no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import msgspec

from audit_log.seal.growing.state import TILE_BYTES, State
from audit_log.seal.leaves import LeafNote
from audit_log.seal.places import LEAVES_PER_TILE, LINES_PER_TILE
from audit_log.seal.stored import SealNote, SealTile
from audit_log.seal.times import times_leaf
from audit_log.seal.tree import Row, Tree, leaf_hash


@dataclass(slots=True)
class Lines:
    """The leaves of consecutive lines, of which *first* is the first."""

    first: int
    hashes: list[bytes] = field(default_factory=list)
    seconds: list[int] = field(default_factory=list)
    """When each was made, since 1970."""
    notes: list[LeafNote] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The number of the line that follows."""
        return self.first + len(self.hashes)

    def repeat(self, data: bytes, until: int, second: int) -> None:
        """Append leaves with *data* for all lines before *until*; one note tells of them."""
        count = until - self.end
        if count > 0:
            self.notes.append(LeafNote(self.end, count, data))
            self.hashes += [leaf_hash(data)] * count
            self.seconds += [second] * count


@dataclass(frozen=True, slots=True)
class Grown:
    """A log that has grown, and what is to be stored of its growth."""

    state: State
    tree: Tree
    tiles: Sequence[SealTile] = ()
    """Those that became full."""
    notes: Sequence[SealNote] = ()

    def by(self, lines: Lines) -> Self:
        """Return the log grown by *lines*, which begin at its next line."""
        state, tree = self.state, self.tree.copy()
        hashes, notes, seconds = _with_times(state, lines)
        tiles, opened = _tiles(state, tree.append(hashes))
        log = state.sealing.log
        notes += [
            SealNote(log, state.sealing.place(note.line), note.count, note.data.decode())
            for note in lines.notes
        ]
        grown = msgspec.structs.replace(
            state,
            next_line=lines.end,
            tiles=opened,
            seconds=tuple(seconds),
            second=lines.seconds[-1] if lines.seconds else state.second,
        )
        return type(self)(grown, tree, tiles, notes)

    def open_tile(self) -> SealTile | None:
        """Return the first hashes of the tile of level 0 that is not full; None if it is empty."""
        if not self.state.tiles or not self.state.tiles[0]:
            return None
        log, number = self.state.sealing.log, self.state.size // LEAVES_PER_TILE
        return SealTile(log, 0, number, self.state.tiles[0])


def _with_times(state: State, lines: Lines) -> tuple[list[bytes], list[SealNote], list[int]]:
    """Return the hashes of *lines* with those of times leaves among them, and their notes.

    The seconds of the lines behind the last times leaf come last.
    """
    hashes: list[bytes] = []
    notes: list[SealNote] = []
    seconds = [*state.seconds, *lines.seconds]
    place, at, end = state.size, 0, LINES_PER_TILE - len(state.seconds)
    while len(seconds) >= LINES_PER_TILE:
        data = times_leaf(seconds[:LINES_PER_TILE])
        hashes += lines.hashes[at:end]
        hashes.append(leaf_hash(data))
        del seconds[:LINES_PER_TILE]
        last = place + len(hashes) - 1
        notes.append(SealNote(state.sealing.log, last, 1, data.decode()))
        at, end = end, end + LINES_PER_TILE
    return hashes + lines.hashes[at:], notes, seconds


def _tiles(state: State, rows: Iterable[Row]) -> tuple[list[SealTile], tuple[bytes, ...]]:
    """Return the tiles that *rows* fill, and of each level the one that is open afterwards."""
    log, full, opened = state.sealing.log, [], list(state.tiles)
    for row in rows:
        if row.level == len(opened):
            opened.append(b"")
        data = opened[row.level] + b"".join(row.hashes)
        number = row.start // LEAVES_PER_TILE
        for at in range(0, len(data) - TILE_BYTES + 1, TILE_BYTES):
            full.append(SealTile(log, row.level, number, data[at : at + TILE_BYTES]))
            number += 1
        opened[row.level] = data[len(data) - len(data) % TILE_BYTES :]
    return full, tuple(opened)
