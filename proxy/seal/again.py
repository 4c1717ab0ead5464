"""Tiles and notes made once more, of lines that are read again for a store that lacks them."""

from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.growing.state import State
from audit_log.seal.leaves import Leaves
from audit_log.seal.places import LEAVES_PER_TILE, LINES_PER_TILE
from audit_log.seal.stored import Sealed, SealNote, SealTile
from audit_log.seal.times import times_leaf
from audit_log.seal.tree import Tree, leaf_hash


class Again:
    """Gathers lines that have their leaves already, until they are those of a whole tile."""

    def __init__(self) -> None:
        self._first = 0
        self._hashes: list[bytes] = []
        self._seconds: list[int | None] = []
        self._second: int | None = None
        """When the line before the first of these was made."""

    def parts(self, state: State, leaves: Leaves) -> list[Sealed]:
        """Return the full tiles of level 0 that these *leaves* complete, and their notes.

        A tile is left out unless the tree of *state* has it: of a line that was quarantined or
        unsealed, the journal does not tell. Those that were stored in this run are stored again
        anyway. Called twice with the same leaves it returns nothing.
        """
        sealing = state.sealing
        known = self._first + len(self._hashes) - leaves.first
        count = state.next_line - leaves.first
        if not 0 <= known <= count:
            self._first, self._hashes, self._seconds = leaves.first, [], []
            self._second, known = None, 0
        self._hashes += leaves.hashes[known:count]
        self._seconds += leaves.seconds[known:count]
        parts: list[Sealed] = [
            SealNote(sealing.log, sealing.place(note.line), note.count, note.data.decode())
            for note in leaves.notes
            if known <= note.line - leaves.first < count
        ]
        _ = self._drop(-(self._first - sealing.first_line) % LINES_PER_TILE)
        while len(self._hashes) >= LINES_PER_TILE:
            parts += self._tile(state)
        return parts

    def _drop(self, count: int) -> list[int]:
        """Let the first *count* lines go; return when they were made, as far as that is known."""
        seconds: list[int] = []
        for second in self._seconds[:count]:
            self._second = self._second if second is None else second
            if self._second is not None:
                seconds.append(self._second)
        self._first += min(count, len(self._hashes))
        del self._hashes[:count], self._seconds[:count]
        return seconds

    def _tile(self, state: State) -> list[Sealed]:
        """Return the tile of the first lines, and its times leaf, if the tree has it."""
        place, hashes = state.sealing.place(self._first), self._hashes[:LINES_PER_TILE]
        seconds = self._drop(LINES_PER_TILE)
        if len(seconds) < LINES_PER_TILE:
            return []
        data = times_leaf(seconds)
        hashes.append(leaf_hash(data))
        if not _has(state, place // LEAVES_PER_TILE, hashes):
            return []
        return [
            SealTile(state.sealing.log, 0, place // LEAVES_PER_TILE, b"".join(hashes)),
            SealNote(state.sealing.log, place + LINES_PER_TILE, 1, data.decode()),
        ]


def _has(state: State, number: int, hashes: list[bytes]) -> bool:
    """Say whether *hashes* are the tile *number*, as the open tile above it tells."""
    above, at = divmod(number, LEAVES_PER_TILE)
    if len(state.tiles) < 2 or above != state.size // LEAVES_PER_TILE**2:  # noqa: PLR2004
        return False
    tile = Tree()
    tile.append(hashes)
    return state.tiles[1][at * HASH_BYTES : (at + 1) * HASH_BYTES] == tile.root()
