"""What a tile of a log may be: by rows and notes, by stored tiles, and by the tiles above."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit_log.seal.encoding import HASH_BYTES
from audit_log.verify.proving.leaf_file import ROW, LeafFile, Noted
from audit_log.verify.roots import TILE, Option, perfect, root_by_path

TILE_BYTES: Final = TILE * HASH_BYTES
PATH_BYTES: Final = 8 * HASH_BYTES
MOST_KEPT: Final = 8_192
"""How many options with their leaves are kept at once: 64 MB."""
MOST_VARIANTS: Final = 8
_PLAIN: Final = bytes(
    [ROW, ROW | Noted.TOOL_CALL << 4, ROW | Noted.GAP << 4, ROW | Noted.ENTRY << 4]
    + [kind << 4 for kind in (Noted.TIMES, Noted.EVENT, Noted.MISSING, Noted.VOID)]
    + [kind << 4 for kind in (Noted.UNSEALED, Noted.QUARANTINED, Noted.BEFORE)]
)
"""Marks that need no second look."""


@dataclass(slots=True)
class Tiles:
    """The tiles of one log, from the one that `LeafFile.base` begins."""

    leaves: LeafFile
    roots: list[bytes | None] = field(default_factory=list)
    """Of each tile with one option and its leaves; None for the others."""
    several: dict[int, tuple[Option, ...]] = field(default_factory=dict)
    """The options of the others."""
    odd: set[int] = field(default_factory=set)
    """Tiles to be looked at place by place."""
    not_stored: int = 0
    kept: int = 0

    def options(self, tile: int) -> Sequence[Option]:
        """Return what *tile* may be; nothing if its leaves are not all known."""
        if tile in self.several:
            return self.several[tile]
        root = self.roots[tile - self.leaves.base // TILE]
        start = tile * TILE
        return (Option(root, self.leaves.leaves(start, min(start + TILE, self.leaves.size))),)

    def weigh(
        self,
        tile: int,
        stored: Sequence[bytes],
        above: Sequence[bytes],
        others: Mapping[int, Sequence[bytes]],
    ) -> None:
        """Find the options of the next *tile*.

        *stored* tiles, hashes that stand *above*, and what *others* say of single places.
        """
        start = tile * TILE
        end = min(start + TILE, self.leaves.size)
        marks = self.leaves.marks_of(start, end)
        if end - start < TILE:
            options = _of_open_tile(self.leaves, start, end, stored)
        elif 0 in marks:
            options = _of_incomplete_tile(self.leaves, start, stored)
        else:
            computed = self.leaves.leaves(start, end)
            full = [hashes for hashes in stored if len(hashes) == TILE_BYTES]
            self.not_stored += not stored
            options = [Option(perfect(computed), computed)]
            options += [Option(perfect(other), other) for other in full if other != computed]
        for leaves in _variants(options, range(start, end), others):
            options.append(Option(perfect(leaves) if end - start == TILE else None, leaves))
        known = {option.root for option in options}
        if end - start == TILE:
            options += [Option(root, None) for root in above if root not in known]
        if marks.translate(None, _PLAIN) or len(options) != 1 or end - start < TILE:
            self.odd.add(tile)
        self._keep(tile, options, marks)

    def _keep(self, tile: int, options: list[Option], marks: bytearray) -> None:
        start = tile * TILE
        if len(options) == 1 and options[0].leaves is not None and options[0].root is not None:
            for at, mark in enumerate(marks):
                if not mark:
                    leaf = options[0].leaves[at * HASH_BYTES : (at + 1) * HASH_BYTES]
                    self.leaves.fill(start + at, leaf)
            self.roots.append(options[0].root)
            return
        self.kept += len(options)
        if self.kept > MOST_KEPT:
            options = [option._replace(leaves=None) for option in options]
        self.roots.append(None)
        self.several[tile] = tuple(options)


def _variants(
    options: Sequence[Option], places: range, others: Mapping[int, Sequence[bytes]]
) -> list[bytes]:
    """Return the leaves of the first option with what *others* say: each alone, and all."""
    said = [place for place in places if place in others] if others else []
    if not said or not options or options[0].leaves is None:
        return []
    known = options[0].leaves
    sets = [said, *([place] for place in said[:MOST_VARIANTS] if len(said) > 1)]
    found = []
    for chosen in sets:
        leaves = bytearray(known)
        for place in chosen:
            at = (place - places.start) * HASH_BYTES
            if at < len(leaves):
                leaves[at : at + HASH_BYTES] = others[place][0]
        found.append(bytes(leaves))
    return [leaves for leaves in dict.fromkeys(found) if leaves != known]


def _of_incomplete_tile(leaves: LeafFile, start: int, stored: Sequence[bytes]) -> list[Option]:
    options: dict[bytes | None, Option] = {}
    last = leaves.leaf(start + TILE - 1)
    for hashes in stored:
        if len(hashes) == TILE_BYTES:
            patched = _patched(leaves, start, hashes)
            for candidate in (patched, hashes):
                option = Option(perfect(candidate), candidate)
                options.setdefault(option.root, option)
    for hashes in stored:
        if len(hashes) == PATH_BYTES and last is not None:
            root = root_by_path(last, hashes)
            options.setdefault(root, Option(root, None))
    if not options:  # what comes before the first unknown leaf can still be proved
        return [Option(None, _until_unknown(leaves, start, start + TILE, b""))]
    return list(options.values())


def _of_open_tile(leaves: LeafFile, start: int, end: int, stored: Sequence[bytes]) -> list[Option]:
    candidates = {_until_unknown(leaves, start, end, b"")}
    for hashes in stored:
        candidates.add(_until_unknown(leaves, start, end, hashes))
        if len(hashes) % HASH_BYTES == 0:
            candidates.add(hashes[: (end - start) * HASH_BYTES])
    return [Option(None, candidate) for candidate in sorted(candidates, key=len, reverse=True)]


def _patched(leaves: LeafFile, start: int, hashes: bytes) -> bytes:
    """Return *hashes* with the leaves that rows and notes give in their places."""
    parts = []
    for at in range(len(hashes) // HASH_BYTES):
        own = leaves.leaf(start + at)
        parts.append(hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES] if own is None else own)
    return b"".join(parts)


def _until_unknown(leaves: LeafFile, start: int, end: int, hashes: bytes) -> bytes:
    """Return the leaves from *start* on, up to the first that nothing gives."""
    parts = []
    for at in range(end - start):
        own = leaves.leaf(start + at) or hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]
        if len(own) != HASH_BYTES:
            break
        parts.append(own)
    return b"".join(parts)
