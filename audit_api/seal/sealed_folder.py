"""The folder of one log in an evidence bundle: its checkpoints, and the tiles that prove rows."""

from collections.abc import AsyncIterator, Iterator
from typing import Final, NamedTuple

import msgspec

from audit_api.formats.entries import timestamp
from audit_log.postgres.seal.sealed_log import SealedLog, Signed, newest_of_each
from audit_log.postgres.seal.stored_tree import StoredTree, TileGoneError, TileRoots
from audit_log.seal.places import LEAVES_PER_TILE
from audit_log.seal.policy import Log, Policy
from audit_log.seal.tiles import TILE_WIDTH, Tile, partial_tiles

_BITS: Final = 8


class File(NamedTuple):
    """A file of the bundle."""

    path: str
    data: bytes


def name_of(log: int) -> str:
    """Return the name of a log's folder: the first 8 hex digits of its origin's hash."""
    return (log & 0xFFFFFFFF).to_bytes(4).hex()


class SealedFolder:
    """One log, with the newest checkpoint of its that is cosigned or anchored, if any."""

    def __init__(self, sealed: SealedLog, signed: Signed, roots: TileRoots) -> None:
        self._sealed = sealed
        self._signed = signed
        self._roots = roots
        self._touched = bytearray(signed.checkpoint.size // LEAVES_PER_TILE // _BITS + 1)
        """A bit for each tile of leaves: whether a row lies in it."""
        self.gone = 0
        """How many tiles are neither stored nor can be made anew."""

    @property
    def size(self) -> int:
        """How many leaves the checkpoint covers."""
        return self._signed.checkpoint.size

    def touch(self, place: int) -> bool:
        """Note that a row has this place; say whether the checkpoint covers it."""
        if not 0 <= place < self.size:
            return False
        byte, bit = divmod(place // LEAVES_PER_TILE, _BITS)
        self._touched[byte] |= 1 << bit
        return True

    async def files(self) -> AsyncIterator[File]:
        """Yield the files of the folder."""
        folder = f"logs/{name_of(self._sealed.log)}"
        yield File(f"{folder}/checkpoint", str(self._signed.note).encode())
        yield File(f"{folder}/key", f"{self._signed.key}\n".encode())
        yield File(f"{folder}/policy", str(Policy((Log(self._signed.key),))).encode())
        anchored = newest_of_each(await self._sealed.receipts(0), self.size)
        told = [
            {
                "anchor": one.anchor,
                "size": one.size,
                "anchored_at": timestamp(one.anchored_at),
                "receipt": one.receipt,
            }
            for one in anchored
        ]
        yield File(f"{folder}/anchors.json", msgspec.json.format(msgspec.json.encode(told)))
        sizes = {one.size for one in anchored}
        for size in sorted(sizes):
            note = await self._sealed.note_of(size)
            if note is not None:
                yield File(f"{folder}/anchored/{size}", note.encode())
        for tile in self._tiles(sizes):
            try:
                # A tree of its own: it would keep all that it has read.
                data = await StoredTree(self._sealed, self.size, self._roots).tile(tile)
            except TileGoneError:
                self.gone += 1
            else:
                yield File(f"{folder}/{tile}", data)

    def _tiles(self, sizes: set[int]) -> Iterator[Tile]:
        """Yield the tiles of the rows, those above them, and those at the edge of each size."""
        above: set[tuple[int, int]] = set()
        for size in {*sizes, self.size}:
            above |= {(tile.level, tile.index) for tile in partial_tiles(size)}
        for index in range(self.size // LEAVES_PER_TILE + 1):
            byte, bit = divmod(index, _BITS)
            if self._touched[byte] & 1 << bit:
                above |= self._over(index)
                above.discard((0, index))
                yield from self._tile(0, index)
        for level, index in sorted(above):
            yield from self._tile(level, index)

    def _over(self, index: int) -> set[tuple[int, int]]:
        """Return level and number of each tile above tile *index* of the lowest level."""
        over: set[tuple[int, int]] = set()
        for level in range(1, (self.size.bit_length() - 1) // _BITS + 1):
            index //= TILE_WIDTH
            over.add((level, index))
        return over

    def _tile(self, level: int, index: int) -> Iterator[Tile]:
        width = (self.size >> level * _BITS) - index * TILE_WIDTH
        if width > 0:
            yield Tile(level, index, min(width, TILE_WIDTH))
