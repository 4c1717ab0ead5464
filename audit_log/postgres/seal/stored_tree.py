"""The hashes of a log's tree at one size: from tiles that are stored, or made anew from leaves.

Tiles of a level above the lowest are stored when they are full, each hash in them being that of a
tile below. So the last one of a level is made of up to 255 tiles below it; their hashes are
remembered, as full tiles never change.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

from audit_log.errors import ProofError
from audit_log.postgres.seal.sealed_log import SealedLog
from audit_log.postgres.seal.sealed_rows import leaves_between
from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.places import LEAVES_PER_TILE
from audit_log.seal.proofs import NodeHash
from audit_log.seal.tiles import TILE_WIDTH, Tile, hashes_of, node_from_tiles
from audit_log.seal.tree import TILE_HEIGHT, leaf_hash, node_hash, subtree_hash

Made = TypeVar("Made")
Key = tuple[int, int, int]
"""Log, level and number of a tile."""
_REMEMBERED: Final = 16_384
_PATH_BYTES: Final = TILE_HEIGHT * HASH_BYTES
_TILE: Final = """
SELECT hashes FROM mcp_audit_seal_tile
WHERE log = $1 AND level = $2 AND number = $3 ORDER BY length(hashes) DESC LIMIT 1
"""
_TILES: Final = """
SELECT DISTINCT ON (number) number, hashes FROM mcp_audit_seal_tile
WHERE log = $1 AND level = $2 AND number = ANY($3::bigint[])
ORDER BY number, length(hashes) DESC
"""


class TileGoneError(ProofError):
    """A tile is neither stored nor can it be made anew: retention has pruned it."""


class TileRoots:
    """The hashes over full tiles, as far as they are known."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, bytes] = OrderedDict()

    def get(self, key: Key) -> bytes | None:
        """Return the hash over a tile, if it is remembered."""
        return self._known.get(key)

    def put(self, key: Key, root: bytes) -> None:
        """Remember the hash over a tile; the oldest are forgotten."""
        self._known[key] = root
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """Forget all: one of them may have been made of a tile that was not the sealed one."""
        self._known.clear()


class StoredTree:
    """The tree of one log at one *size*. Nothing that it returns is trusted: a proof judges."""

    def __init__(self, sealed: SealedLog, size: int, roots: TileRoots) -> None:
        self._sealed = sealed
        self._size = size
        self._roots = roots
        self._tiles: dict[Tile, bytes] = {}

    async def made(self, make: Callable[[NodeHash], Made]) -> Made:
        """Return what *make* makes of the tree's nodes; TileGoneError if it lacks some."""
        wanted: list[Tile] = []

        def read(tile: Tile) -> bytes:
            if tile not in self._tiles:
                wanted.append(tile)
                raise _MissingError
            return self._tiles[tile]

        while True:
            try:
                return make(node_from_tiles(self._size, read))
            except _MissingError:
                await self.tile(wanted[-1])

    async def tile(self, tile: Tile) -> bytes:
        """Return the hashes of *tile*; TileGoneError if they are gone."""
        if (known := self._tiles.get(tile)) is not None:
            return known
        stored = await self._stored(tile)
        if len(stored) < tile.width * HASH_BYTES:
            make = self._from_leaves if tile.level == 0 else self._from_below
            stored = await make(tile, stored)
        self._tiles[tile] = data = stored[: tile.width * HASH_BYTES]
        return data

    async def leaf_data(self, place: int) -> list[bytes]:
        """Return what notes say that the leaf at *place* is."""
        return (await self._sealed.notes(place, place + 1)).get(place, [])

    async def _stored(self, tile: Tile) -> bytes:
        row = await self._sealed.transaction.fetch_row(
            _TILE, self._sealed.log, tile.level, tile.index
        )
        data = b"" if row is None else bytes(row["hashes"])
        if self._is_path(tile.level, tile.index, data):
            return b""
        return data[: len(data) // HASH_BYTES * HASH_BYTES]

    def _is_path(self, level: int, index: int, data: bytes) -> bool:
        """Say whether *data* is what is left of a pruned tile: the way up from its last leaf."""
        is_whole = (index + 1) * LEAVES_PER_TILE <= self._size
        return level == 0 and is_whole and len(data) == _PATH_BYTES

    async def _from_leaves(self, tile: Tile, known: bytes) -> bytes:
        """Return the hashes of the leaves of *tile*, of which the first are *known*."""
        start = tile.index * LEAVES_PER_TILE
        first, end = start + len(known) // HASH_BYTES, start + tile.width
        notes = await self._sealed.notes(first, end)
        # A sidecar notes what rows may not give again, so a note goes first.
        data = {place: said[0] for place, said in notes.items()}
        if missing := [place for place in range(first, end) if place not in data]:
            data |= await self._rows(missing[0], missing[-1] + 1, missing)
        gone = [place for place in range(first, end) if place not in data]
        if gone:
            raise TileGoneError(f"nothing that is stored gives the leaf at {gone[0]}")
        return known + b"".join(leaf_hash(data[place]) for place in range(first, end))

    async def _rows(self, start: int, end: int, missing: list[int]) -> dict[int, bytes]:
        transaction, log = self._sealed.transaction, self._sealed.log
        found: dict[int, bytes] = {}
        for spans in await self._sealed.spans(start, end):
            found = await leaves_between(transaction, log, start, end, spans)
            if all(place in found for place in missing):
                break
        return {place: found[place] for place in missing if place in found}

    async def _from_below(self, tile: Tile, _known: bytes) -> bytes:
        """Return the hashes of *tile*: those over the tiles below it."""
        first, log, level = tile.index * TILE_WIDTH, self._sealed.log, tile.level - 1
        keys = {number: (log, level, number) for number in range(first, first + tile.width)}
        roots = {number: self._roots.get(key) for number, key in keys.items()}
        unknown = [number for number, root in roots.items() if root is None]
        rows = await self._sealed.transaction.fetch(_TILES, log, level, unknown)
        stored = {row["number"]: bytes(row["hashes"]) for row in rows}
        full = {
            number: data for number, data in stored.items() if len(data) == TILE_WIDTH * HASH_BYTES
        }
        roots |= await asyncio.to_thread(_roots_of, full)
        for number in unknown:
            if roots[number] is None:
                roots[number] = await self._root_of(level, number, stored.get(number, b""))
            self._roots.put(keys[number], roots[number] or b"")
        return b"".join(root or b"" for root in roots.values())

    async def _root_of(self, level: int, number: int, data: bytes) -> bytes:
        if not self._is_path(level, number, data):
            return subtree_hash(hashes_of(await self.tile(Tile(level, number))))
        times = (number + 1) * LEAVES_PER_TILE - 1
        said = await self.leaf_data(times)
        if not said:
            raise TileGoneError(f"the times leaf at {times} is gone")
        hash_ = leaf_hash(said[0])
        for beside in hashes_of(data):
            hash_ = node_hash(beside, hash_)
        return hash_


class _MissingError(Exception):
    """A tile is to be read first."""


def _roots_of(tiles: dict[int, bytes]) -> dict[int, bytes | None]:
    return {number: subtree_hash(hashes_of(data)) for number, data in tiles.items()}
