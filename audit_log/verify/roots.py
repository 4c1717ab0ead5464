"""Finds which hashes of a log's tree are the signed ones, by the roots of its checkpoints.

Theory of operation. Rows, notes and stored tiles may each say another hash for the same place, and
none of them is trusted. So a tile has *options*: each gives the tile's hash, and its leaves if
they are known. A root is an equation over all tiles before it. The solver goes from left to right
and keeps every combination of options (a `Path`) until a root decides: hashes do not collide, so a
combination that gives the root is what was signed, up to that size, and all others are dropped.

A root that no combination gives is left unmatched. If a later one is matched, the unmatched one
contradicts it: the log was forked. If none is, something before it was altered, behind the last
root that was matched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.tiles import hashes_of
from audit_log.seal.tree import EMPTY_ROOT, TILE_HEIGHT, node_hash, subtree_hash

TILE: Final = 1 << TILE_HEIGHT
MOST_PATHS: Final = 512
"""Combinations kept at once: nine tiles with two options each, between two checkpoints."""


class Edge:
    """The complete subtrees that a tree consists of, the largest first. Never changed."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[tuple[int, bytes], ...] = ()) -> None:
        self.parts = parts
        """Level and hash of each."""

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return sum(1 << level for level, _ in self.parts)

    def plus(self, level: int, hash_: bytes) -> "Edge":
        """Return the edge with one more subtree of 2^level leaves at its right."""
        parts = list(self.parts)
        while parts and parts[-1][0] == level:
            hash_ = node_hash(parts.pop()[1], hash_)
            level += 1
        return Edge((*parts, (level, hash_)))

    def extended(self, leaves: bytes, start: int, end: int) -> "Edge":
        """Return the edge with the hashes from *start* to *end* of a tile's *leaves*.

        The edge ends where *start* stands in the tile.
        """
        edge = self
        while start < end:
            level = (end - start).bit_length() - 1
            if start:
                level = min(level, (start & -start).bit_length() - 1)
            block = leaves[start * HASH_BYTES : (start + (1 << level)) * HASH_BYTES]
            edge = edge.plus(level, perfect(block))
            start += 1 << level
        return edge

    def root(self) -> bytes:
        """Return the root hash."""
        if not self.parts:
            return EMPTY_ROOT
        *larger, (_, root) = self.parts
        for _, left in reversed(larger):
            root = node_hash(left, root)
        return root


def perfect(leaves: bytes) -> bytes:
    """Return the hash over *leaves*, hashes one after the other, as many as a power of two."""
    return subtree_hash(hashes_of(leaves))


class Option(NamedTuple):
    """What a tile may be."""

    root: bytes | None
    """None for the open tile, which has none yet, and where leaves are not known."""
    leaves: bytes | None
    """Its hashes, or the first ones, as far as they are known; None when only the root is."""


class Equation(NamedTuple):
    """What a checkpoint says."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Solution:
    """What the roots decide."""

    proved: int
    """The size of the largest checkpoint that the options give."""
    matched: frozenset[Equation]
    unknown: frozenset[Equation]
    """Those that lie inside a tile of which perhaps only the root is known any more."""
    reached: int
    """Up to here every leaf has some hash: a larger checkpoint cannot be computed."""
    chosen: dict[int, Option] = field(default_factory=dict)
    """Of the tiles with several options, as far as they are proved."""
    edge: Edge = field(default_factory=Edge)
    """Of the last whole tile before `proved`."""


@dataclass(frozen=True, slots=True)
class _Path:
    edge: Edge
    chosen: tuple[tuple[int, Option], ...] = ()

    def plus(self, tile: int, option: Option, *, is_choice: bool) -> "_Path":
        assert option.root is not None
        chosen = (*self.chosen, (tile, option)) if is_choice else self.chosen
        return _Path(self.edge.plus(TILE_HEIGHT, option.root), chosen)


@dataclass(slots=True)
class _Trial:
    """One option of the tile at hand behind one path."""

    path: _Path
    option: Option
    edge: Edge
    at: int = 0
    """How many leaves of the option `edge` has."""

    def gives(self, equation: Equation, at: int) -> bool | None:
        """Say whether its first *at* leaves give *equation*; None if so many are not known."""
        leaves = self.option.leaves
        if leaves is None or len(leaves) < at * HASH_BYTES:
            return None
        self.edge, self.at = self.edge.extended(leaves, self.at, at), at
        return self.edge.root() == equation.root


class Solver:
    """Goes over the tiles of one log from left to right."""

    def __init__(self, edge: Edge, equations: Sequence[Equation]) -> None:
        """Begin at *edge*, a whole number of tiles that is known to be right."""
        self._paths = [_Path(edge)]
        self._waiting = sorted(set(equations), reverse=True)
        self._matched: set[Equation] = set()
        self._unknown: set[Equation] = set()
        self._proved, self._edge = edge.size, edge
        self._chosen: dict[int, Option] = {}
        self._reached = edge.size

    def solve(self, tiles: int, options_of: Callable[[int], Sequence[Option]]) -> Solution:
        """Return what the roots decide of the tiles up to *tiles*, of which the last is open."""
        first = self._edge.size // TILE
        while self._waiting and self._waiting[-1].size <= self._edge.size:
            equation = self._waiting.pop()
            if equation == (self._edge.size, self._edge.root()):
                self._matched.add(equation)
        for tile in range(first, tiles):
            if not self._waiting or not self._paths:
                break
            self._take(tile, options_of(tile))
        return Solution(
            self._proved,
            frozenset(self._matched),
            frozenset(self._unknown),
            self._reached,
            self._chosen,
            self._edge,
        )

    def _take(self, tile: int, options: Sequence[Option]) -> None:
        trials = [_Trial(path, option, path.edge) for path in self._paths for option in options]
        while self._waiting and self._waiting[-1].size < (tile + 1) * TILE:
            trials = self._inside(tile, trials, self._waiting.pop())
        is_choice = len(options) > 1
        self._paths = [
            trial.path.plus(tile, trial.option, is_choice=is_choice)
            for trial in trials
            if trial.option.root is not None
        ][:MOST_PATHS]
        if self._paths:
            self._reached = (tile + 1) * TILE
        while self._waiting and self._waiting[-1].size == (tile + 1) * TILE:
            equation = self._waiting.pop()
            hits = [path for path in self._paths if path.edge.root() == equation.root]
            if hits:
                self._paths = hits[:1]
                self._settle(equation, hits[0].edge, hits[0].chosen)

    def _inside(self, tile: int, trials: list[_Trial], equation: Equation) -> list[_Trial]:
        """Return those of *trials* that give *equation*, inside the tile; all if none does."""
        at = equation.size - tile * TILE
        given = [(trial, trial.gives(equation, at)) for trial in trials]
        if any(is_given is not None for _, is_given in given):
            self._reached = max(self._reached, equation.size)
        hits = [trial for trial, is_given in given if is_given]
        if not hits:
            if any(is_given is None for _, is_given in given):
                self._unknown.add(equation)
            return trials
        hit = hits[0]
        self._settle(equation, hit.path.edge, (*hit.path.chosen, (tile, hit.option)))
        # What has no leaves here may still be right, behind the same path.
        return [
            trial
            for trial, is_given in given
            if trial.path is hit.path and (is_given or is_given is None)
        ]

    def _settle(
        self, equation: Equation, edge: Edge, chosen: tuple[tuple[int, Option], ...]
    ) -> None:
        self._matched.add(equation)
        self._proved, self._edge = equation.size, edge
        self._chosen.update(chosen)


def root_by_path(leaf: bytes, path: bytes) -> bytes:
    """Return the hash of a whole tile whose last leaf is *leaf*, by the hashes beside its way."""
    for at in range(0, len(path), HASH_BYTES):
        leaf = node_hash(path[at : at + HASH_BYTES], leaf)
    return leaf
