"""Opening a journal: go on with the ring of the last run, or begin a new one.

Theory of operation. A run writes the mark `running` with the identity of its ring, and removes
both at a clean stop. A start therefore finds one of these cases:

- *Mark and ring with this identity*: the last run was killed. Go on with the ring.
- *Mark, but no such ring*: the machine lost its memory, or the ring was removed. Begin a new ring
  after the last line on disk, and append a gap of unknown size, because nothing tells how many
  records the ring held.
- *No mark*: a clean stop, or a new journal. Begin a new ring where the log ended (`end.json`). A
  ring that is found is used only if the folder has never held a journal.

A ring that does not fit (damaged, of another run, or behind the segments) is quarantined in
`damaged/`, because it may hold records that the operator wants. If the mark cannot be read, a ring
is used only if it contradicts nothing on disk.
"""

import secrets
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from audit_log.record import Gap, new_record_id
from proxy.journal.calls import Calls
from proxy.journal.folder import JournalFolder
from proxy.journal.journal_error import JournalError, RingDamagedError
from proxy.journal.line import gap_line
from proxy.journal.ring import Ring
from proxy.journal.segments import Segments

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def open_ring(
    folder: JournalFolder,
    segments: Segments,
    places: list[Path],
    size: int,
    instance: str,
) -> Ring:
    """Return the ring of the last run if it is in one of *places*, else a new one.

    Raise JournalError when no place has room for a new one.
    """
    expected = folder.ring_in_use()
    ring = _ring_found(folder, segments, places, expected)
    if ring is None:
        ring = _new_ring(folder, segments, places, size)
        if expected is not None:
            ring.append(gap_line(ring.next_number(), _ring_lost(folder, segments, instance)))
    return ring


def _ring_found(
    folder: JournalFolder, segments: Segments, places: list[Path], expected: int | None
) -> Ring | None:
    for path in places:
        try:
            ring = Ring.open(path)
        except FileNotFoundError:
            continue
        except (RingDamagedError, OSError) as error:
            _quarantine(folder, path, str(error))
            continue
        # A ring of an earlier life of this folder, for example on a host to which the volume
        # came back, must not be taken for the continuation of what is on disk.
        if _continues(ring, folder, segments, expected):
            return ring
        ring.close()
        _quarantine(folder, path, "it belongs to another run")
    return None


def _continues(
    ring: Ring, folder: JournalFolder, segments: Segments, expected: int | None
) -> bool:
    """Return whether *ring* continues *segments*."""
    if ring.written < segments.end:
        return False
    if expected is None:
        # A clean stop removes its ring: this one is older, unless the folder is new.
        return folder.end() is None and folder.position() is None
    # The mark cannot be read: nothing on disk is given up in favour of the ring.
    return ring.identity == expected or (expected == 0 and ring.moved >= segments.end)


def _new_ring(folder: JournalFolder, segments: Segments, places: list[Path], size: int) -> Ring:
    position, end = folder.position(), folder.end()
    last = segments.last_line()
    known = [place for place in (position, end) if place is not None]
    start = max([segments.end, *(place.offset for place in known)])
    number = max([last.n + 1 if last else 1, *(place.number for place in known)])
    oldest = next((segment.start for segment in segments), start)
    for path in places:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            ring = Ring.create(
                path, size, identity=secrets.randbits(63) | 1, start=start, number=number
            )
        except OSError as error:
            log.warning("journal.ring_not_placed", path=str(path), error=str(error))
            continue
        # Without a saved position everything on disk is written again, which is harmless.
        ring.commit(position.offset if position else oldest, position.number if position else 0)
        return ring
    raise JournalError(f"{folder.path}: no room for a journal ring of {size} bytes")


def open_calls(folder: JournalFolder, places: list[Path]) -> Calls:
    """Return the slots of the last run if they are found, else new ones; raise JournalError."""
    paths = [place.with_suffix(".calls") for place in places]
    for path in sorted(paths, key=lambda path: not path.exists()):
        try:
            return Calls.open(path)
        except RingDamagedError as error:
            _quarantine(folder, path, str(error))
            with suppress(OSError, RingDamagedError):
                return Calls.open(path)
        except OSError as error:
            log.warning("journal.calls_not_placed", path=str(path), error=str(error))
    raise JournalError(f"{folder.path}: no room for the calls in flight")


def _ring_lost(folder: JournalFolder, segments: Segments, instance: str) -> Gap:
    now = datetime.now(UTC)
    last = segments.last_line()
    known = last.moment if last else folder.last_moment()
    since = min(known, now) if known else now
    return Gap(
        id=new_record_id(),
        started_at=since,
        ended_at=now,
        count=None,
        # Not "ring_lost": stored gaps and webhooks have carried this word since the first
        # version.
        reason="head_lost",
        instance=instance,
    )


def _quarantine(folder: JournalFolder, path: Path, reason: str) -> None:
    with suppress(OSError):
        kept = folder.move_to_damaged(path, f"{path.name}.{new_record_id()}")
        log.error("journal.file_quarantined", path=str(kept), reason=reason)
