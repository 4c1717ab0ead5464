"""Tiles as in c2sp.org/tlog-tiles@v0.1.0: the hashes of every eighth level, 256 together."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from audit_log.errors import SealFormatError
from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.proofs import NodeHash
from audit_log.seal.tree import TILE_HEIGHT, subtree_hash

TILE_WIDTH: Final = 1 << TILE_HEIGHT
"""How many hashes a full tile has, and how many entries a full bundle."""
LENGTH_BYTES: Final = 2
MAX_ENTRY_BYTES: Final = 0xFFFF
"""What the length in front of an entry can say."""
_MAX_LEVEL: Final = 63
_PATH: Final = re.compile(
    r"tile/(0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII
)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile's place, and its width: how many hashes it has, 256 unless it is the last."""

    level: int
    index: int
    width: int = TILE_WIDTH

    def __str__(self) -> str:
        """Return the path, such as `tile/0/x001/x234/067.p/5`."""
        return f"tile/{self.level}/{_place(self.index, self.width)}"

    @classmethod
    def parse(cls, path: str) -> Self:
        """Return the tile of a *path*; raise SealFormatError when it is none."""
        if match := _PATH.fullmatch(path):
            level, index, width = match.groups(default=str(TILE_WIDTH))
            tile = cls(int(level), int(re.sub("[x/]", "", index)), int(width))
            # Of each tile there is one path: neither `000/001` nor `.p/256` is one.
            if tile.level <= _MAX_LEVEL and str(tile) == path:
                return tile
        raise SealFormatError(f"{path[:100]!r} is not the path of a tile")

    def checked(self, data: bytes) -> bytes:
        """Return *data*, this tile's hashes; raise SealFormatError unless it has its width."""
        if len(data) != self.width * HASH_BYTES:
            raise SealFormatError(
                f"{self} has {self.width * HASH_BYTES} bytes; here are {len(data)}"
            )
        return data


def full_tiles(old_size: int, size: int) -> Iterator[Tile]:
    """Yield the tiles that become full when a tree grows from *old_size* leaves to *size*."""
    level = 0
    while size := size >> TILE_HEIGHT:
        old_size >>= TILE_HEIGHT
        yield from (Tile(level, index) for index in range(old_size, size))
        level += 1


def partial_tiles(size: int) -> Iterator[Tile]:
    """Yield the tiles at the edge of a tree of *size* leaves that are not full, none empty."""
    level = 0
    while size:
        index, width = divmod(size, TILE_WIDTH)
        if width:
            yield Tile(level, index, width)
        size, level = index, level + 1


def node_from_tiles(size: int, read: Callable[[Tile], bytes]) -> NodeHash:
    """Return what gives the hashes of complete subtrees of a tree of *size* leaves.

    *read* returns a tile's hashes one behind the other. It is asked for a tile anew for each
    node, so it should keep the last ones. Its data is not trusted: whether it is right is seen
    when a proof from it does not verify. SealFormatError is raised when its length is wrong.
    """

    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, offset = divmod(index << height, TILE_WIDTH)
        width = (size >> tile_level * TILE_HEIGHT) - tile_index * TILE_WIDTH
        tile = Tile(tile_level, tile_index, min(width, TILE_WIDTH))
        hashes = hashes_of(tile.checked(read(tile)))
        return subtree_hash(hashes[offset : offset + (1 << height)])

    return node


def hashes_of(data: bytes) -> list[bytes]:
    """Return the hashes that a tile's *data* consists of."""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of the entry bundle of the leaves of tile *index* of level 0."""
    return f"tile/entries/{_place(index, width)}"


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return the entry bundle of *entries*, which are leaves' data; raise SealFormatError.

    An entry with more than 65,535 bytes has no place in a bundle.
    """
    parts = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise SealFormatError(
                f"an entry has at most {MAX_ENTRY_BYTES} bytes, not {len(entry)}"
            )
        parts += [len(entry).to_bytes(LENGTH_BYTES), entry]
    return b"".join(parts)


def decode_bundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle; raise SealFormatError when the last one is cut."""
    entries, at = [], 0
    while at < len(data):
        begin = at + LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin])
        entries.append(data[begin:at])
    if at != len(data):
        raise SealFormatError(f"the entry bundle of {len(data)} bytes ends within an entry")
    return entries


def _place(index: int, width: int) -> str:
    """Return *index* in groups of three digits, with the width where it is not the full one."""
    path = f"{index % 1000:03}"
    while index := index // 1000:
        path = f"x{index % 1000:03}/{path}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"
