"""The state of a log: what is needed to go on with it, and nothing that grows with it."""

from secrets import token_hex
from typing import Final, Self
from urllib.parse import quote

import msgspec

from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.places import LEAVES_PER_TILE, LINES_PER_TILE, Sealing, log_of
from audit_log.seal.tree import Tree

TILE_BYTES: Final = LEAVES_PER_TILE * HASH_BYTES
RESERVED_LINES: Final = 65_536
"""How many line numbers may be used before the state must have come to disk again."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A log as it is when all lines before `next_line` have their leaves. Immutable."""

    origin: str
    key: bytes
    """The public key by which its checkpoints are signed."""
    first_line: int
    next_line: int
    following: bytes = b""
    """The public key that signs too, and alone when the change of the key is finished."""
    tiles: tuple[bytes, ...] = ()
    """The hashes of the tile that is not full, one tile for each level of tiles, level 0 first."""
    seconds: tuple[int, ...] = ()
    """When the lines in the open tile of level 0 were made."""
    second: int = 0
    """When the last line was made."""
    reserved: int = 0
    """As it was known to be on disk: lines below it may have places. See `kept`."""
    placeless: tuple[int, int] = (0, 0)
    """Lines from the first number on and before the second were stored without a place."""
    left_lines: int = 0
    """How many lines before the first one were not known to be stored when the log began."""

    @classmethod
    def begun(cls, instance: str, key: bytes, first_line: int, left_lines: int = 0) -> Self:
        """Return the state of a new log of *instance*, which begins with line *first_line*.

        *left_lines* before it may still be stored: without a place, as no log has them.
        """
        origin = f"podwarden-audit/{quote(instance, safe='')}/{token_hex(8)}"
        return cls(
            origin=origin,
            key=key,
            first_line=first_line,
            next_line=first_line,
            left_lines=left_lines,
        )

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """Return the state that `written` returned as *data*; None when it makes no sense."""
        try:
            state = msgspec.msgpack.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return state if state.makes_sense else None

    def written(self) -> bytes:
        """Return the state as bytes."""
        return msgspec.msgpack.encode(self)

    @property
    def makes_sense(self) -> bool:
        """Whether the numbers fit each other."""
        counts = [len(tile) // HASH_BYTES for tile in self.tiles]
        lines, seconds = self.next_line - self.first_line, len(self.seconds)
        return (
            lines >= 0
            and lines % LINES_PER_TILE == seconds
            and all(len(tile) % HASH_BYTES == 0 for tile in self.tiles)
            and all(count < LEAVES_PER_TILE for count in counts)
            and sum(count << 8 * level for level, count in enumerate(counts)) == self.size
        )

    @property
    def sealing(self) -> Sealing:
        """Where the leaves of lines are."""
        return Sealing(log_of(self.origin), self.first_line)

    @property
    def size(self) -> int:
        """How many leaves the log has."""
        return self.sealing.place(self.next_line)

    def tree(self) -> Tree:
        """Return the tree, to append to."""
        edge: list[bytes] = []
        for tile in reversed(self.tiles):
            hashes = [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
            # The subtrees that the tile is made of, the largest first, as the bits of its length.
            at = 0
            for bit in reversed(range(8)):
                if len(hashes) >> bit & 1:
                    subtree = Tree()
                    subtree.append(hashes[at : at + (1 << bit)])
                    edge.append(subtree.root())
                    at += 1 << bit
        return Tree(self.size, edge)
