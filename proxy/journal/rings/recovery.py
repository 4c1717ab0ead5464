"""Opening a journal: go on with the ring of the last run, or begin a new one.

Theory of operation. `last_run` decides which ring continues the folder.

- *There is one*: the last run was killed. Go on with it.
- *There is none, but the mark `running`*: the machine lost its memory, or the ring was removed.
  Begin a new ring after the last line on disk, and append a gap of unknown size, because nothing
  tells how many records the ring held. If the lines are sealed, numbers are left out: those that
  the lost ones may have had.
- *There is none, and no mark*: a clean stop, or a new journal. Begin a new ring where the log
  ended (`end.json`).

Any other ring of the folder is quarantined in `damaged/`, because it may hold records that the
operator wants. A gap tells how many. A ring that another process uses is left alone. So is one
that cannot be moved, and one of an old version that does not prove to be of this folder.
"""

import secrets
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from audit_log.record import Gap, new_record_id
from proxy.journal.batch import HEAD_LOST
from proxy.journal.folder import JournalFolder
from proxy.journal.journal_error import RingDamagedError
from proxy.journal.line_text import gap_line
from proxy.journal.mapped import LOOK_SECONDS, LOOKS
from proxy.journal.ring import Ring
from proxy.journal.ring_header import Owner
from proxy.journal.rings.last_run import LastRun
from proxy.journal.rings.new_ring import begin_ring
from proxy.journal.rings.placement import place_of
from proxy.journal.rings.ring_file import RingFile, Unmoved, rings_in
from proxy.journal.segments import Segments
from proxy.seal.kept import NO_LOG, Found

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def open_ring(
    folder: JournalFolder,
    segments: Segments,
    directories: list[Path],
    size: int,
    instance: str,
    sealed: Found = NO_LOG,
) -> Ring:
    """Return the ring of the last run if it is in one of *directories*, else a new one.

    See `begin_ring` for where a new one lies. If the last one is lost, its lines may have places
    in the log that was *sealed*.
    """
    last_run = _last_run(folder, segments)
    ring, others = _ring_found(last_run, directories)
    is_lost = ring is None and (
        last_run.running is not None or sealed.goes_beyond(last_run.next_number)
    )
    losses = [_unmoved(other) for other in others if not other.is_reported]
    for other in others:  # before a new ring: they take its room
        _set_aside(folder, other)
    if ring is None:
        free = sealed.free_number if is_lost else 0
        ring = begin_ring(last_run, segments, directories, size, free)
    folder_id = last_run.here.folder_id or ring.owner.folder_id or secrets.randbits(63) | 1
    ring.belong_to(replace(last_run.here, folder_id=folder_id))
    if is_lost or any(loss.count != 0 for loss in losses):
        _report(ring, _gap(folder, segments, losses, is_lost=is_lost, instance=instance))
    return ring


def _last_run(folder: JournalFolder, segments: Segments) -> LastRun:
    marks = folder.marks
    return LastRun(
        here=Owner(marks.folder_id() or 0, place_of(folder.path), folder.path),
        running=marks.ring_in_use(),
        position=marks.position(),
        end=marks.end(),
        ended_at=marks.ended_at(),
        on_disk=segments.end,
        sealed_log=marks.sealed_log(),
    )


def _ring_found(last_run: LastRun, directories: list[Path]) -> tuple[Ring | None, list[RingFile]]:
    """Return the ring that continues the folder, held, and the other rings of the folder."""
    ring: Ring | None = None
    others = []
    found = [
        file for file in rings_in(directories) if last_run.owns(file) and not _is_in_use(file)
    ]
    found.sort(key=lambda file: (file.identity == last_run.last, file.written), reverse=True)
    for file in found:
        if ring is None and last_run.is_continued_by(file):
            ring = _held(file)
            if ring is not None:
                continue
        others.append(file)
    return ring, others


def _is_in_use(file: RingFile) -> bool:
    """Return whether another process uses the ring, or holds it for longer than a look."""
    for _ in range(LOOKS):
        with suppress(OSError):
            if not file.is_in_use():
                return False
        time.sleep(LOOK_SECONDS)
    log.warning("journal.ring_in_use", path=str(file.path))
    return True


def _held(file: RingFile) -> Ring | None:
    with suppress(RingDamagedError, OSError):
        ring = Ring.open(file.path)
        if ring.file.hold():
            return ring
        ring.close()
    return None


def _unmoved(other: RingFile) -> Unmoved:
    try:
        return other.unmoved()
    except OSError:
        return Unmoved(None)


def _gap(
    folder: JournalFolder,
    segments: Segments,
    losses: list[Unmoved],
    *,
    is_lost: bool,
    instance: str,
) -> Gap:
    """Return the gap of *losses*, and of a ring that *is_lost* altogether."""
    now = datetime.now(UTC)
    last = segments.last_line()
    counts = [loss.count for loss in losses if loss.count is not None]
    is_known = not is_lost and len(counts) == len(losses)
    since = [loss.oldest for loss in losses if loss.oldest is not None]
    until = [loss.newest for loss in losses if loss.newest is not None]
    if not is_known:
        since.append((last.moment if last else folder.marks.last_moment()) or now)
        until.append(now)
    return Gap(
        id=new_record_id(),
        started_at=min([*since, now]),
        ended_at=max(until, default=now),
        count=sum(counts) if is_known else None,
        reason=HEAD_LOST,
        instance=instance,
    )


def _report(ring: Ring, gap: Gap) -> None:
    """Append *gap* to *ring*; without room for it count what it tells of as refused."""
    if not ring.append(gap_line(ring.next_number(), gap)):
        for _ in range(gap.count or 1):
            ring.counts.refusals.add(int(gap.ended_at.timestamp() * 1_000_000))


def _set_aside(folder: JournalFolder, other: RingFile) -> None:
    """Take *other*, of which a gap has told, out of the way, if that is possible."""
    with suppress(OSError):
        if other.unmoved().count == 0:
            other.path.unlink()
            return
        other.note_reported()
    if other.owner.folder_id or not other.is_complete:
        folder.quarantine_file(other.path, "it belongs to another run")
    else:
        log.warning("journal.ring_left", path=str(other.path))
