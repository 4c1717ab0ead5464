"""The Merkle tree of RFC 6962, section 2.1: it grows at its right edge, and keeps only that."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Self

from audit_log.errors import SealFormatError
from audit_log.seal.encoding import HASH_BYTES, LARGEST_SIZE

TILE_HEIGHT: Final = 8
"""Levels of the tree between two levels of tiles: a hash of one level stands for 256 below it."""
EMPTY_ROOT: Final = sha256(b"").digest()
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf with *data*."""
    return sha256(_LEAF + data).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """Return the hashes of many leaves' data: what `leaf_hash` returns for each."""
    return [sha256(_LEAF + data).digest() for data in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node above *left* and *right*."""
    return sha256(_NODE + left + right).digest()


def subtree_hash(hashes: Sequence[bytes]) -> bytes:
    """Return the hash of the subtree above *hashes*: 1, 2, 4 … neighbours of one level."""
    while len(hashes) > 1:
        hashes = _parents(hashes)
    [root] = hashes
    return root


class Row(NamedTuple):
    """Consecutive hashes of one level of tiles: what this level gained when the tree grew."""

    level: int
    """0: hashes of leaves; 1: of 256 leaves each; 2: of 65,536 each."""
    start: int
    """The place of the first hash within its level."""
    hashes: Sequence[bytes]


class Tree:
    """A log's tree, as far as is needed to append to it: its size and the hashes of its edge.

    The state is `(size, edge)`: `Tree(tree.size, tree.edge)` goes on where *tree* stands.
    """

    __slots__ = ("_by_level", "size")

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """Go on at *size* with *edge*, as the properties returned them.

        Raise SealFormatError when the edge cannot be of that size.
        """
        if not 0 <= size <= LARGEST_SIZE:
            raise SealFormatError(f"a tree cannot have {size} leaves")
        if len(edge) != size.bit_count() or any(len(part) != HASH_BYTES for part in edge):
            raise SealFormatError(
                f"the edge of a tree of {size} leaves has {size.bit_count()} hashes of "
                f"{HASH_BYTES} bytes; here are {len(edge)}, of {sum(map(len, edge))} bytes"
            )
        self.size = size
        """How many leaves the tree has."""
        # Each level's last hash, if it has no right neighbour yet: then this bit of size is set.
        # Elsewhere stands an old hash, which is never read.
        self._by_level = [b""] * size.bit_length()
        for level, part in zip(_set_bits(size), edge, strict=True):
            self._by_level[level] = part

    @property
    def edge(self) -> list[bytes]:
        """The hashes of the complete subtrees that the tree consists of, the largest first."""
        return [self._by_level[level] for level in _set_bits(self.size)]

    def copy(self) -> Self:
        """Return a tree that grows apart from this one: an append to it can be given up."""
        return type(self)(self.size, self.edge)

    def append(self, hashes: Sequence[bytes]) -> list[Row]:
        """Append leaves by their hashes; return what each level of tiles gained, level 0 first.

        Raise SealFormatError, and change nothing, when a hash has not 32 bytes.
        """
        if not set(map(len, hashes)) <= {HASH_BYTES}:
            raise SealFormatError(f"a leaf's hash has {HASH_BYTES} bytes; one of these has not")
        rows: list[Row] = []
        start, level, nodes = self.size, 0, hashes
        while nodes:
            if level % TILE_HEIGHT == 0:
                rows.append(Row(level // TILE_HEIGHT, start, nodes))
            if level == len(self._by_level):
                self._by_level.append(b"")
            if start & 1:
                nodes = [self._by_level[level], *nodes]
            if len(nodes) & 1:
                self._by_level[level] = nodes[-1]
            nodes = _parents(nodes)
            start, level = start >> 1, level + 1
        self.size += len(hashes)
        return rows

    def root(self) -> bytes:
        """Return the root hash."""
        if not self.size:
            return EMPTY_ROOT
        *larger, root = self.edge
        for left in reversed(larger):
            root = node_hash(left, root)
        return root


def _parents(nodes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes above *nodes*, two by two; a last one without a neighbour has none yet."""
    # A whole level in one comprehension. Measured were slices of joined hashes, `%`, `join`,
    # copies of a hash that has the prefix already, and libsodium: within 3 % of this, or slower.
    # Four fifths of the time are the call of SHA-256, which each leaf needs once here.
    pairs = iter(nodes)
    return [
        sha256(_NODE + left + right).digest() for left, right in zip(pairs, pairs, strict=False)
    ]


def _set_bits(number: int) -> list[int]:
    """Return which bits of *number* are set, the highest first."""
    return [bit for bit in reversed(range(number.bit_length())) if number >> bit & 1]
