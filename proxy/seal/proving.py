"""Proofs that a published checkpoint continues an older one, for anchors that ask."""

from typing import Protocol

from audit_log.errors import StoreUnavailableError
from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.growing.state import State
from audit_log.seal.proofs import consistency_proof
from audit_log.seal.stored import SealTile
from audit_log.seal.tiles import TILE_WIDTH, Tile, node_from_tiles
from proxy.seal.seal import Seal


class Tiles(Protocol):
    """Where full tiles can be read again."""

    async def tile(self, log: int, level: int, number: int) -> bytes | None:
        """Return the hashes of a tile; None if it is not there. Raises StoreUnavailableError."""


class _MissingError(Exception):
    """A tile is to be read first."""


class Prover:
    """Proves consistency by tiles: the open ones of a state, the last full ones, those stored."""

    def __init__(self, seal: Seal, tiles: Tiles) -> None:
        self._seal = seal
        self._tiles = tiles

    async def prove(self, state: State, old_size: int) -> list[bytes]:
        """Return the proof that the log in *state* continues what it was at *old_size*.

        Raise StoreUnavailableError while a tile that is needed cannot be read.
        """
        known: dict[Tile, bytes] = {}
        wanted: list[Tile] = []

        def read(tile: Tile) -> bytes:
            if tile.width < TILE_WIDTH:
                return state.tiles[tile.level][: tile.width * HASH_BYTES]
            if tile not in known:
                wanted.append(tile)
                raise _MissingError
            return known[tile]

        while True:
            try:
                return consistency_proof(old_size, state.size, node_from_tiles(state.size, read))
            except _MissingError:
                tile = wanted[-1]
                known[tile] = await self._tile(state.sealing.log, tile)

    async def _tile(self, log: int, tile: Tile) -> bytes:
        for part in self._seal.recent:
            if isinstance(part, SealTile) and (part.level, part.number) == (
                tile.level,
                tile.index,
            ):
                return part.hashes
        hashes = await self._tiles.tile(log, tile.level, tile.index)
        if hashes is None or len(hashes) != TILE_WIDTH * HASH_BYTES:
            raise StoreUnavailableError(f"{tile} of the seal is not in the store")
        return hashes
