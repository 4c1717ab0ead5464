"""The tiles at a growing tree's edge: its appends fill them, and full ones are handed out."""

from collections.abc import Iterable, Mapping
from typing import Final

from audit_log.errors import SealFormatError
from audit_log.seal.encoding import LARGEST_SIZE
from audit_log.seal.tiles import TILE_WIDTH, Tile, hashes_of, partial_tiles
from audit_log.seal.tree import TILE_HEIGHT, Row, Tree

_LEVELS: Final = LARGEST_SIZE.bit_length() // TILE_HEIGHT + 1


class GrowingTiles:
    """Collects the rows that appends to a tree return. At most 255 hashes of a level are kept."""

    __slots__ = ("_ends", "_open")

    def __init__(self, tree: Tree, partial: Mapping[Tile, bytes]) -> None:
        """Go on with *tree*, and *partial* as the method of that name returned it at this size.

        *partial* may come from where others can write: raise SealFormatError unless the edge of
        *tree* was made of these hashes, to the last one.
        """
        self._open: dict[int, list[bytes]] = {}
        """By level: the hashes behind the last full tile."""
        self._ends = {level: tree.size >> level * TILE_HEIGHT for level in range(_LEVELS)}
        """By level: how many hashes there are."""
        edge: list[bytes] = []
        for tile in partial_tiles(tree.size):
            if tile not in partial:
                raise SealFormatError(f"{tile} of a tree of {tree.size} leaves is missing")
            self._open[tile.level] = hashes = hashes_of(tile.checked(partial[tile]))
            small = Tree()
            small.append(hashes)
            edge = small.edge + edge
        if edge != tree.edge:
            raise SealFormatError(
                f"the partial tiles are not those of the tree of {tree.size} leaves: "
                "make them again from its leaves"
            )

    def add(self, rows: Iterable[Row]) -> dict[Tile, bytes]:
        """Take what an append returned; return the tiles that it made full, with their data."""
        full: dict[Tile, bytes] = {}
        for level, start, added in rows:
            if start != self._ends[level]:
                raise SealFormatError(
                    f"level {level} of the tiles goes on at {self._ends[level]}, not at {start}: "
                    "rows were left out or taken twice"
                )
            hashes = [*self._open.get(level, ()), *added]
            self._ends[level] += len(added)
            rest = self._ends[level] % TILE_WIDTH
            first = (self._ends[level] - len(hashes)) // TILE_WIDTH
            for at in range(0, len(hashes) - rest, TILE_WIDTH):
                tile = Tile(level, first + at // TILE_WIDTH)
                full[tile] = b"".join(hashes[at : at + TILE_WIDTH])
            self._open[level] = hashes[len(hashes) - rest :]
        return full

    def partial(self) -> dict[Tile, bytes]:
        """Return the tiles at the edge that are not full: the state to go on with."""
        return {
            Tile(level, self._ends[level] // TILE_WIDTH, len(hashes)): b"".join(hashes)
            for level, hashes in self._open.items()
            if hashes
        }
