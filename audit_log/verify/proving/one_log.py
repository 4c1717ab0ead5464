"""Verifies one log: puts its leaves together, finds what the roots say of them, and judges."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from audit_log.errors import SealFormatError
from audit_log.postgres.transaction import Transaction
from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.keys import VerifierKey
from audit_log.seal.tree import leaf_hash, subtree_hash
from audit_log.verify.ages import Keeping, Kept, moment
from audit_log.verify.evidence.bookmark import SOURCE, Bookmark
from audit_log.verify.evidence.signed import Checkpoints
from audit_log.verify.evidence.subjects import Subject
from audit_log.verify.proving.judging import Judge
from audit_log.verify.proving.judging import Kept as KeptTile
from audit_log.verify.proving.leaf_file import LeafFile, Noted
from audit_log.verify.proving.leaf_members import members_of
from audit_log.verify.proving.noting import Noting, put_notes, put_runs
from audit_log.verify.proving.weighing import Tiles
from audit_log.verify.roots import TILE, Edge, Solution, Solver
from audit_log.verify.stored.stored_seal import StoredNote, StoredSeal

WINDOW: Final = TILE * TILE
"""How many places are looked at together: those of a tile of level 1."""
MOST_EVENTS: Final = 100_000
FAR: Final = 1 << 17
"""No place can be that far behind what was signed: a power cut skips half of it."""


class NotedEvent(msgspec.Struct, frozen=True, array_like=True):
    """An event, as its leaf data says it."""

    kind: str
    id: str
    at: datetime
    name: str
    details: dict[str, str]


@dataclass(slots=True)
class Beyond:
    """The rows behind the newest checkpoint."""

    rows: int = 0
    last: int = 0
    """Their last place, but for the one that is too far."""
    since: int | None = None
    """When the oldest says that it was made, in Unix seconds."""
    until: int | None = None
    """When the newest says so."""
    too_far: int | None = None
    """A place that no row can have yet."""

    def add(self, place: int, seconds: int, size: int) -> None:
        """Take a row at *place*, where the newest checkpoint is of *size*."""
        if place > size + FAR:
            self.too_far = place
            return
        self.rows += 1
        self.last = max(self.last, place)
        self.since = seconds if self.since is None else min(self.since, seconds)
        self.until = max(self.until or 0, seconds)

    def waits(self, now: int, most: int) -> bool:
        """Say whether all were made within *most* seconds of *now*, by their word."""
        times = (second for second in (self.since, self.until) if second is not None)
        return all(abs(now - second) <= most for second in times)


class Left(NamedTuple):
    """Lines that were left to be stored without a place when their log began, or its seal."""

    lines: int = 0
    until: int = 0
    """When that was, in Unix seconds: they were made before."""


@dataclass(slots=True)
class OneLog:
    """One log under verification."""

    subject: Subject
    checkpoints: Checkpoints
    leaves: LeafFile
    bookmark: Bookmark | None = None
    noting: Noting = field(default_factory=Noting)
    events: list[tuple[int, NotedEvent]] = field(default_factory=list)
    """By place: those that notes tell of."""
    beyond: Beyond = field(default_factory=Beyond)
    twice: int = 0
    tiles: Tiles = field(init=False)
    solution: Solution = field(init=False)
    judge: Judge = field(init=False)

    async def gather(self, transaction: Transaction, progress: Callable[[int], None]) -> None:
        """Put notes beside the rows that are there already, and weigh all tiles."""
        seal, leaves, log = StoredSeal(transaction), self.leaves, self.subject.log
        self.tiles = Tiles(leaves)
        put_runs(leaves, await seal.runs(log, leaves.start), self.noting)
        for start in range(leaves.base, leaves.size, WINDOW):
            end = min(start + WINDOW, leaves.size)
            notes = await seal.notes(log, max(start, leaves.start), end)
            await put_notes(transaction, log, leaves, notes, self.noting)
            self._take_events(notes)
            stored = await seal.tiles(log, 0, start // TILE, -(-end // TILE))
            above = await seal.tiles(log, 1, start // WINDOW, start // WINDOW + 1)
            uppers = above.get(start // WINDOW, [])
            for tile in range(start // TILE, -(-end // TILE)):
                at = tile % TILE * HASH_BYTES
                over = [hashes[at : at + HASH_BYTES] for hashes in uppers if len(hashes) > at]
                self.tiles.weigh(tile, stored.get(tile, []), over, self.noting.others)
            progress(end - start)

    def solve(self) -> None:
        """Find what the signed roots say, with every key that the log has had."""
        tree = self.bookmark.tree if self.bookmark is not None else Edge()
        equations = [one.equation for one in self.checkpoints.signed]
        solver = Solver(tree, equations)
        self.solution = solver.solve(-(-self.leaves.size // TILE), self.tiles.options)

    def is_signed(self, place: int) -> bool:
        """Say whether the leaf that was found at *place* is the signed one."""
        if not self.leaves.start <= place < self.solution.proved:
            return False
        tile, at = divmod(place, TILE)
        option = self.solution.chosen.get(tile)
        if option is None:
            options = self.tiles.options(tile)
            if len(options) != 1:
                return False
            [option] = options
        leaves = option.leaves or b""
        return leaves[at * HASH_BYTES : (at + 1) * HASH_BYTES] == self.leaves.leaf(place)

    def signed_events(self) -> list[tuple[int, NotedEvent]]:
        """Return the events whose leaves are signed."""
        return [(place, event) for place, event in self.events if self.is_signed(place)]

    def following_keys(self) -> list[VerifierKey]:
        """Return the keys that the log has changed to, in turn, as its old keys signed."""
        earlier = [] if self.bookmark is None else self.bookmark.keys
        said = [event.details.get("following_key", "") for _, event in self.signed_events()]
        found = []
        for vkey in dict.fromkeys([*earlier, *said]):
            try:
                key = VerifierKey.parse(vkey)
            except SealFormatError:
                continue
            if key.name == self.subject.origin:
                found.append(key)
        return found

    def kept(self) -> list[Kept]:
        """Return the retentions that the log's events say."""
        return [
            Kept(int(event.at.timestamp()), int(days) if days.isdecimal() else None)
            for _, event in self.signed_events()
            if (days := event.details.get("retention_days")) is not None
        ]

    @property
    def unsealed(self) -> int:
        """How many of its lines were not sealed, but for notes that what is signed contradicts."""
        known = 0 if self.bookmark is None else self.bookmark.unsealed
        places = self.leaves.places(Noted.UNSEALED)
        proved = self.solution.proved
        return known + sum(place >= proved or self.is_signed(place) for place in places)

    def left(self) -> Left:
        """Return how many rows may have no place, and until when they were made, as it signs."""
        known = Left() if self.bookmark is None else Left(*self.bookmark.left)
        said = [
            Left(int(lines), int(event.at.timestamp()))
            for _, event in self.signed_events()
            if (lines := event.details.get("lines_left", "")).isdecimal()
        ]
        # Each start says it again: the first one tells until when.
        return max([known, *said], key=lambda left: left.lines)

    def begun(self) -> int | None:
        """Return when the first leaf was made, in Unix seconds; None if nothing says so."""
        if self.bookmark is not None and self.bookmark.begun is not None:
            return self.bookmark.begun
        first = self.judge.begun if self.leaves.base == 0 else None
        return first or next((second for second in self.leaves.seconds[:TILE] if second), None)

    def newest_leaf(self) -> datetime | None:
        """Return when the newest leaf was made."""
        near = max(self.leaves.seconds[-2 * TILE :], default=0)
        known = 0 if self.bookmark is None else self.bookmark.newest
        return moment(near or self.judge.latest or known)

    @property
    def sink(self) -> str:
        """Where the sidecar delivers to, as the newest event says that it has signed."""
        said = [event.details.get("sink") for _, event in self.signed_events()]
        return next(filter(None, reversed(said)), "")

    @property
    def newest_signed(self) -> int | None:
        """When the newest line was made that is proved, in Unix seconds."""
        seconds = self.leaves.seconds[: max(self.solution.proved - self.leaves.base, 0)]
        return next((second for second in reversed(seconds) if second), None)

    def last_sign(self) -> datetime | None:
        """Return when anything was heard of the log, by the word of the database too."""
        times = [moment(second) for second in self.leaves.seconds[-TILE:]]
        for one in self.checkpoints.signed:
            # When an earlier run has looked says nothing of the sidecar.
            seen = [at for source, at in one.sources.items() if source != SOURCE]
            times += [one.arrived_at, *seen]
        return max((at for at in times if at is not None), default=None)

    def has_stopped(self) -> bool:
        """Say whether the last line of the log is that of an orderly stop."""
        return any(
            event.name == "stop" and not any(self.leaves.seconds[place + 1 - self.leaves.base :])
            for place, event in self.signed_events()[-1:]
        )

    async def judge_all(
        self, transaction: Transaction, keeping: Keeping, others: Mapping[int | None, LeafFile]
    ) -> None:
        """Judge the places of all odd tiles, and what is stored of the tree above them.

        *others* has the leaves of all logs, by their numbers.
        """
        self.judge = Judge(self.tiles, self.solution, self.noting, keeping, others)
        async for tile, kept in self._odd_tiles(StoredSeal(transaction)):
            self.judge.judge(tile, kept)
        await self._judge_upper(StoredSeal(transaction))

    async def _odd_tiles(self, seal: StoredSeal) -> AsyncIterator[tuple[int, KeptTile]]:
        log = self.subject.log
        by_window: dict[int, list[int]] = {}
        for tile in sorted(self.tiles.odd):
            by_window.setdefault(tile // TILE, []).append(tile)
        for window, tiles in by_window.items():
            first, end = window * TILE, (window + 1) * TILE
            stored = await seal.tiles(log, 0, first, end)
            times = await seal.times(log, first * TILE, end * TILE)
            for tile in tiles:
                last = (tile + 1) * TILE - 1
                yield tile, KeptTile(stored.get(tile, ()), times.get(last, ()))

    async def _judge_upper(self, seal: StoredSeal) -> None:
        """Compare the stored tiles above level 0 with those that are proved."""
        base, level = self.leaves.base // TILE, 1
        roots = self._signed_roots()
        while len(roots) + base >= TILE:
            first, end = -(-base // TILE), (base + len(roots)) // TILE
            stored = await seal.tiles(self.subject.log, level, first, end)
            above = []
            for number in range(first, end):
                at = number * TILE - base
                hashes = roots[at : at + TILE]
                for tile in stored.get(number, ()):
                    parts = range(0, len(tile), HASH_BYTES)
                    said = [tile[part : part + HASH_BYTES] for part in parts]
                    is_right = len(said) == TILE and all(
                        own in (None, one) for own, one in zip(hashes, said, strict=True)
                    )
                    if not is_right:
                        self.judge.found.stored.append((level, number))
                above.append(_root(hashes))
            roots, base, level = above, first, level + 1

    def _signed_roots(self) -> list[bytes | None]:
        first = self.leaves.base // TILE
        return [self._signed_root(tile) for tile in range(first, self.solution.proved // TILE)]

    def _signed_root(self, tile: int) -> bytes | None:
        if tile in self.solution.chosen:
            return self.solution.chosen[tile].root
        return self.tiles.roots[tile - self.leaves.base // TILE]

    def _take_events(self, notes: list[StoredNote]) -> None:
        for note in notes:
            if note.data.startswith('["event"') and len(self.events) < MOST_EVENTS:
                try:
                    event = msgspec.convert(members_of(note.data), NotedEvent)
                except msgspec.ValidationError:
                    continue
                if self.leaves.leaf(note.place) == leaf_hash(note.data.encode()):
                    self.events.append((note.place, event))


def _root(hashes: list[bytes | None]) -> bytes | None:
    nodes = [node for node in hashes if node is not None]
    return subtree_hash(nodes) if len(nodes) == len(hashes) else None
