"""Rings that have lost their journal folder: found, named at a start, and removed.

A killed sidecar leaves its ring, for the next start in its folder. If the folder is gone for good
the ring stays in memory until the machine starts again.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import structlog

from audit_log.plurals import counted
from proxy.journal.marks import id_of
from proxy.journal.ring_header import Owner
from proxy.journal.rings.placement import place_of
from proxy.journal.rings.ring_file import RingFile, ring_file, rings_in

_BESIDE: Final = (".calls", ".seal")
"""What lies beside a ring: the slots, and the state of the seal."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class RingState(StrEnum):
    """What becomes of a ring."""

    IN_USE = "in use"
    WAITING = "waits for its sidecar"
    ORPHANED = "orphaned"


class RingNotRemovedError(Exception):
    """The ring must stay; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ListedRing:
    """A ring, what becomes of it, and the memory that it takes with its slots."""

    file: RingFile
    state: RingState
    size: int


def listed_rings(directories: Iterable[Path]) -> list[ListedRing]:
    """Return the rings of this user in *directories*."""
    return [_listed(file) for file in rings_in(directories)]


def orphaned_rings(directories: Iterable[Path]) -> list[ListedRing]:
    """Return those rings in *directories* that no sidecar will go on with."""
    return [ring for ring in listed_rings(directories) if ring.state is RingState.ORPHANED]


def name_orphaned_rings(directories: Iterable[Path]) -> None:
    """Log which rings in *directories* have lost their journal folder."""
    found = orphaned_rings(directories)
    if found:
        log.warning(
            "journal.rings_orphaned",
            rings=len(found),
            bytes=sum(ring.size for ring in found),
            paths=[str(ring.file.path) for ring in found],
            advice="see `podwarden-audit journal rings`",
        )


def remove_ring(path: Path, *, discard: bool) -> None:
    """Remove the orphaned ring *path* and its slots; raise RingNotRemovedError.

    With *discard* also if it holds records that are nowhere else.
    """
    file = ring_file(path)
    if file is None:
        raise RingNotRemovedError(f"{path} is no ring of this user")
    state = _listed(file).state
    if state is RingState.IN_USE:
        raise RingNotRemovedError(f"{path} is in use: stop its sidecar first")
    if state is RingState.WAITING:
        raise RingNotRemovedError(
            f"{path} belongs to the journal in {file.owner.path}:"
            " start a sidecar there, which writes what the ring holds"
        )
    count = file.unmoved().count
    if count != 0 and not discard:
        many = "an unknown number of records" if count is None else counted(count, "record")
        raise RingNotRemovedError(
            f"{path} holds {many} that {'is' if count == 1 else 'are'} nowhere else:"
            " put its journal folder back, or give them up with --discard"
        )
    path.unlink(missing_ok=True)
    for suffix in _BESIDE:
        path.with_suffix(suffix).unlink(missing_ok=True)


def _listed(file: RingFile) -> ListedRing:
    size = file.size
    for suffix in _BESIDE:
        with suppress(OSError):
            size += file.path.with_suffix(suffix).stat().st_size
    return ListedRing(file, _state(file), size)


def _state(file: RingFile) -> RingState:
    try:
        if file.is_in_use():
            return RingState.IN_USE
        return RingState.WAITING if _is_folder_there(file.owner) else RingState.ORPHANED
    except OSError:
        return RingState.WAITING  # of another user's folder nothing can be told


def _is_folder_there(owner: Owner) -> bool:
    """Return whether the folder is where it was; raise OSError when that cannot be told."""
    if not owner.folder_id:
        return False  # before version 0.2 a ring did not name its folder
    known = id_of(owner.path)
    if known is not None:
        return known == owner.folder_id
    return owner.path.is_dir() and place_of(owner.path) == owner.place
