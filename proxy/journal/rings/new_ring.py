"""Beginning a ring, and opening the slots beside one, wherever there is room."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from proxy.journal.calls import Calls
from proxy.journal.folder import JournalFolder
from proxy.journal.journal_error import JournalError, RingDamagedError
from proxy.journal.mapped import is_in_use
from proxy.journal.ring import MIN_RING_BYTES, Ring
from proxy.journal.ring_header import Beginning, Owner, Place
from proxy.journal.rings.last_run import LastRun
from proxy.journal.rings.placement import old_ring_name, ring_names
from proxy.journal.segments import Segments

MAX_SPARE_BYTES: Final = 16 * 1024 * 1024
"""The most that a ring takes where there is no room for the one that is wanted."""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def begin_ring(
    last_run: LastRun, segments: Segments, directories: list[Path], size: int, free_number: int
) -> Ring:
    """Return a new ring that begins where the log of *last_run* ended.

    Lines that may have been used since have numbers below *free_number*. Where there is no room
    for *size* bytes it is smaller. Without any room it has no file. Raise JournalError if there
    is no memory either.
    """
    last, position = segments.last_line(), last_run.position
    known = [place.number for place in (position, last_run.end) if place is not None]
    beginning = Beginning(
        identity=secrets.randbits(63) | 1,
        start=last_run.known_end,
        number=max([last.n + 1 if last else 1, free_number, *known]),
        predecessor=last_run.last or 0,
        moment=last_run.ended_at,
    )
    folder_id = last_run.here.folder_id or secrets.randbits(63) | 1
    names = ring_names(folder_id, beginning.identity)
    paths = [directory / name for directory in directories for name in names]
    ring = _placed(beginning, paths, size)
    ring.belong_to(Owner(folder_id))
    ring.sealed_log = last_run.sealed_log
    if position is not None:
        ring.commit(position.offset, position.number, position.moment)
        ring.moments.store_id = position.store
        if (arrived := position.arrived) is not None:
            ring.arrival.place = Place(arrived.offset, arrived.number, arrived.moment)
    elif not ring.origin:
        ring.commit(0, beginning.number, datetime.now(UTC))  # no record is older
    elif (oldest := next((segment.start for segment in segments), ring.origin)) < ring.origin:
        # Everything on disk is written again, which is harmless.
        ring.commit(oldest, 0 if oldest else 1)
    return ring


def _placed(beginning: Beginning, paths: list[Path], size: int) -> Ring:
    reason: OSError | None = None
    for path, room in _attempts(paths, size):
        try:
            if path is not None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            ring = Ring.create(path, room, beginning)
        except OSError as error:
            reason = error
            if room == size and not isinstance(error, FileExistsError):
                log.warning("journal.ring_not_placed", path=str(path), error=str(error))
            continue
        if ring.file.hold():
            return ring
        ring.close()
    raise JournalError(f"no room for a journal ring of {size} bytes: {reason}") from reason


def _attempts(paths: list[Path], size: int) -> Iterator[tuple[Path | None, int]]:
    """Yield where a ring may lie and how large it may be, the best first."""
    places: tuple[list[Path], list[None]] = paths, [None]
    for among in places:
        room = size
        while room >= MIN_RING_BYTES:
            for path in among:
                yield path, room
            room = min(room // 2, MAX_SPARE_BYTES)


def open_calls(folder: JournalFolder, ring: Ring, directories: list[Path]) -> Calls:
    """Return the slots of the last run if they are found, else new ones.

    Without any room they have no file. Raise JournalError if there is no memory either.
    """
    for path in _slots(folder, ring, directories):
        try:
            calls = Calls.open(path)
        except RingDamagedError as error:
            folder.quarantine_file(path, str(error))
        except OSError as error:
            log.warning("journal.calls_not_placed", path=str(path), error=str(error))
        else:
            if calls.file.hold():
                return calls
            calls.close()
    try:
        return Calls.open(None)
    except OSError as error:
        raise JournalError(f"no room for the calls in flight: {error}") from error


def _slots(folder: JournalFolder, ring: Ring, directories: list[Path]) -> list[Path]:
    """Return where the slots may lie, those that exist first; one may be tried a second time."""
    names = ring_names(ring.owner.folder_id, ring.identity)
    if ring.path is not None:
        names.insert(0, ring.path.name)
    paths = [(place / name).with_suffix(".calls") for name in names for place in directories]
    old = [
        path
        for place in directories
        if (path := (place / old_ring_name(folder.path)).with_suffix(".calls")).exists()
        and not is_in_use(path, takes_lock=False)
    ]
    return [*(path for path in [*paths, *old] if path.exists()), *paths]
