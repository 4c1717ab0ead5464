"""Places: which leaf of a journal's log stands for which line of the journal.

A log is the Merkle tree of one journal, and each line of the journal from `first_line` on has a
leaf. The place of a leaf is a function of the line's number alone, so a batch that is read again
or cut elsewhere gives the same leaves. Each tile of 256 leaves stands for 255 lines; its last leaf
is the *times leaf*, which says when each of them was made (`times`).
"""

from hashlib import sha256
from typing import Final, NamedTuple

LINES_PER_TILE: Final = 255
LEAVES_PER_TILE: Final = 256


class Sealing(NamedTuple):
    """The log that a journal is sealed in."""

    log: int
    """What rows name it by: see `log_of`."""
    first_line: int
    """The number of the first line that has a leaf."""

    def place(self, line: int) -> int:
        """Return the place of the leaf of *line*; negative for a line before the first.

        It is also the size of the log when all lines before *line* have their leaves.
        """
        after = line - self.first_line
        return after + after // LINES_PER_TILE

    def line(self, place: int) -> int | None:
        """Return the number of the line whose leaf is at *place*; None for a times leaf."""
        if is_times(place):
            return None
        return self.first_line + place - place // LEAVES_PER_TILE


def is_times(place: int) -> bool:
    """Say whether the leaf at *place* is a times leaf."""
    return place % LEAVES_PER_TILE == LINES_PER_TILE


def log_of(origin: str) -> int:
    """Return the number by which rows name the log with this *origin*, which takes 4 bytes."""
    return int.from_bytes(sha256(origin.encode()).digest()[:4], "big", signed=True)
