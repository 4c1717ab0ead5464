"""Judges the places of one log, when the roots have decided which hashes are the signed ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from audit_log.errors import SealFormatError
from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.times import times_in
from audit_log.seal.tree import leaf_hash
from audit_log.verify.ages import DAY, Age, Fate, Keeping
from audit_log.verify.findings import Kind
from audit_log.verify.proving.leaf_file import (
    CLASH,
    FILLED,
    NO_LINE,
    ROW,
    TWICE,
    LeafFile,
    Noted,
)
from audit_log.verify.proving.noting import Noting
from audit_log.verify.proving.weighing import PATH_BYTES, Tiles
from audit_log.verify.roots import TILE, Solution, root_by_path

_NEAR: Final = 512
"""How far to look for neighbours that say when a line was made."""
_FOLLOWING: Final = 3
_HAVE_ROWS: Final = frozenset({Noted.GAP, Noted.READ})
"""What nothing takes the place of: a note is none of its own."""


class Bad(NamedTuple):
    """A place that is not as it was sealed."""

    place: int
    kind: Kind
    sealed: bytes | None
    """The signed leaf hash, if it is known."""
    found: bytes | None
    """What is there instead."""
    age: Age


class Gone(NamedTuple):
    """A place whose row is gone."""

    place: int
    fate: Fate
    age: Age


class TileBad(NamedTuple):
    """A tile that is not as it was signed, where no place can be told."""

    first: int
    last: int
    age: Age


@dataclass(slots=True)
class Judgement:
    """What became of the places of one log."""

    bad: list[Bad] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    tiles: list[TileBad] = field(default_factory=list)
    stored: list[tuple[int, int]] = field(default_factory=list)
    """Level and number of stored tiles that are not the signed ones."""
    loose: list[int] = field(default_factory=list)
    """Places that were sealed as missing, void or unsealed, and have a row."""
    unproved: int = 0
    """Rows of pruned tiles, which cannot be proved one by one."""
    pruned: list[TileBad] = field(default_factory=list)
    """Tiles with such rows that the retention cannot have pruned: they have younger lines."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the database keeps of one tile, as it was read again."""

    stored: Sequence[bytes]
    times: Sequence[str]
    """What notes say of its last place."""


class Judge:
    """Goes over the odd tiles of one log, from left to right."""

    def __init__(
        self,
        tiles: Tiles,
        solution: Solution,
        noting: Noting,
        keeping: Keeping,
        others: Mapping[int | None, LeafFile],
    ) -> None:
        """*others* has the leaves of all logs, by their numbers: rows may have come to others."""
        self._others = others
        self._tiles, self._solution, self._noting = tiles, solution, noting
        self._leaves: LeafFile = tiles.leaves
        self._keeping = keeping
        self.latest: int | None = None
        """The newest time that a proved times leaf before has said."""
        self.begun: int | None = None
        """When the first line was made, if the times leaf of its tile is proved."""
        self.found = Judgement()

    def judge(self, tile: int, kept: Kept) -> None:
        """Judge the places of *tile*."""
        start = tile * TILE
        end = min(start + TILE, self._leaves.size)
        proved = max(0, min(self._solution.proved, end) - start)
        root, sealed = self._signed(tile, proved)
        times = _times(root, sealed, kept) if proved == TILE else None
        age = self._ages(times)
        for place in range(start, end):
            at = (place - start) * HASH_BYTES
            signed = sealed[at : at + HASH_BYTES] if sealed and place - start < proved else None
            self._judge_place(place, signed or None, age)
        self._judge_stored(tile, root, sealed, kept)
        marks = self._leaves.marks_of(start, end)
        if root is not None and sealed is None:
            self._judge_without_leaves(tile, root, marks, age)
        if times is not None and tile == 0:
            self.begun = times[0]
        if times is not None:
            self.latest = max(self.latest or 0, *times)

    def _signed(self, tile: int, proved: int) -> tuple[bytes | None, bytes | None]:
        """Return the signed root of *tile*, and its first *proved* leaves, as far as known."""
        if not proved:
            return None, None
        option = self._solution.chosen.get(tile)
        if option is None:
            options = self._tiles.options(tile)
            if len(options) != 1:
                return None, None
            [option] = options
        leaves = option.leaves[: proved * HASH_BYTES] if option.leaves is not None else None
        return option.root if proved == TILE else None, leaves

    def _judge_place(self, place: int, signed: bytes | None, age: Callable[[int], Age]) -> None:
        mark, found = self._leaves.mark(place), self._leaves.leaf(place)
        noted = self._leaves.noted(place)
        if not mark or mark & FILLED:
            self._gone(place, age(place))
            return
        others = self._noting.others.get(place, ())
        if signed is not None and found != signed:
            self._bad(place, _kind_of_bad(mark, signed in others), signed, found, age(place))
            return
        if mark & TWICE:
            self._bad(place, Kind.TAKEN_TWICE, signed, found, age(place))
        elif mark & CLASH and signed is not None:
            kind = Kind.ALTERED if mark & ROW else Kind.NOTE_ALTERED
            self._bad(place, kind, signed, others[0] if others else None, age(place))
        if noted in NO_LINE and mark & ROW:
            self._loose(place, signed, found)
        elif not mark & ROW and (noted in _HAVE_ROWS or self._lacks_row(place)):
            self._gone(place, age(place))
        elif place in self._noting.stale:
            self._bad(place, Kind.ALTERED, signed, None, age(place))

    def _lacks_row(self, place: int) -> bool:
        """Say whether no row stands for the entry or tool call that is noted at *place*."""
        log, other = self._noting.elsewhere.get(place, (None, 0))
        return place in self._noting.no_row or (
            log in self._others and not self._others[log].bears_row(other)
        )

    def _loose(self, place: int, signed: bytes | None, found: bytes | None) -> None:
        """Take a row that nothing proves: one that the last second before a power cut has left.

        It was made before the line behind it, and not a day before the one in front of it.
        """
        made = self._leaves.seconds[place - self._leaves.base]
        since, until = self._nearest(place, -1), self._nearest(place, 1)
        if (until is not None and made > until + 1) or (since is not None and made < since - DAY):
            self._bad(place, Kind.INSERTED, signed, found, Age(since, until))
        else:
            self.found.loose.append(place)

    def _bad(
        self, place: int, kind: Kind, signed: bytes | None, found: bytes | None, age: Age
    ) -> None:
        self.found.bad.append(Bad(place, kind, signed, found, age))

    def _gone(self, place: int, age: Age) -> None:
        self.found.gone.append(Gone(place, self._keeping.fate(age), age))

    def _judge_stored(
        self, tile: int, root: bytes | None, sealed: bytes | None, kept: Kept
    ) -> None:
        """Note stored tiles that are not the signed one."""
        for hashes in kept.stored:
            leaves = [leaf_hash(data.encode()) for data in kept.times]
            leaves += [sealed[-HASH_BYTES:]] if sealed else []
            is_path = len(hashes) == PATH_BYTES and any(
                root_by_path(leaf, hashes) == root for leaf in leaves
            )
            if is_path or sealed is None:
                continue
            length = min(len(hashes), len(sealed))
            if hashes[:length] != sealed[:length]:
                self.found.stored.append((0, tile))

    def _judge_without_leaves(
        self, tile: int, root: bytes, marks: bytearray, age: Callable[[int], Age]
    ) -> None:
        """Judge a tile of which only the root is known."""
        start = tile * TILE
        last = start + TILE - 1
        bad = TileBad(start, last, Age(age(start).since, age(last).until))
        if 0 in marks:
            rows = sum(1 for mark in marks if mark & ROW)
            fates = {self._keeping.fate(age(place)) for place in range(start, last)}
            if rows and fates & {Fate.DELETED, Fate.UNDECIDED}:
                self.found.pruned.append(bad)
            else:
                self.found.unproved += rows
            return
        options = self._tiles.options(tile)
        if not any(option.root == root and option.leaves is not None for option in options):
            self.found.tiles.append(bad)

    def _ages(self, times: list[int] | None) -> Callable[[int], Age]:
        """Return what says when a line of this tile was made."""
        if times is not None:
            known = times

            def exactly(place: int) -> Age:
                at = min(place % TILE, TILE - 2)
                return Age(known[at], known[at])

            return exactly
        return self.between

    def between(self, place: int) -> Age:
        """Return when the neighbours of *place* say that it was made: lines are in order."""
        seconds, at = self._leaves.seconds, place - self._leaves.base
        before = [second for second in seconds[max(0, at - _NEAR) : at] if second]
        after = [second for second in seconds[at + 1 : at + _NEAR] if second]
        since = max(before[-_NEAR // 8 :], default=self.latest)
        return Age(since, max(after[:_FOLLOWING], default=None))

    def _nearest(self, place: int, step: int) -> int | None:
        """Return when the nearest line was made that was sealed, on one side of *place*."""
        leaves = self._leaves
        end = leaves.size if step > 0 else leaves.base - 1
        for other in range(place + step, end, step):
            second = leaves.seconds[other - leaves.base]
            if second and leaves.noted(other) not in NO_LINE:
                return second
        return None


def _kind_of_bad(mark: int, signed_is_there_too: bool) -> Kind:  # noqa: FBT001
    if signed_is_there_too:
        return Kind.TAKEN_TWICE if mark & TWICE else Kind.NOTE_ALTERED
    return Kind.ALTERED if mark & ROW else Kind.NOTE_ALTERED


def _times(root: bytes | None, sealed: bytes | None, kept: Kept) -> list[int] | None:
    """Return the times of a tile's lines, if a note gives its signed times leaf."""
    for data in kept.times:
        leaf = leaf_hash(data.encode())
        paths = [hashes for hashes in kept.stored if len(hashes) == PATH_BYTES]
        is_signed = (
            leaf == sealed[-HASH_BYTES:]
            if sealed is not None
            else any(root_by_path(leaf, path) == root for path in paths)
        )
        if is_signed:
            try:
                return times_in(data.encode())
            except SealFormatError:
                return None
    return None
