"""Opening: go on with the head of the last run, or begin a new one and say what that means."""

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
    directory: JournalFolder,
    segments: Segments,
    places: list[Path],
    size: int,
    instance: str,
) -> Ring:
    """Return the head of the last run where it is found in *places*, else a new one.

    A head that ought to be there and is not leaves a gap: nobody knows what was in it.
    """
    expected = directory.head_in_use()
    head = _ring_found(directory, segments, places, expected)
    if head is None:
        head = _new_ring(directory, segments, places, size)
        if expected is not None:
            head.append(gap_line(head.next_number(), _ring_lost(directory, segments, instance)))
    return head


def _ring_found(
    directory: JournalFolder, segments: Segments, places: list[Path], expected: int | None
) -> Ring | None:
    for path in places:
        try:
            head = Ring.open(path)
        except FileNotFoundError:
            continue
        except (RingDamagedError, OSError) as error:
            _set_aside(directory, path, str(error))
            continue
        # A head of another life of this directory, such as one left on a host that the volume
        # came back to, must not be taken for the continuation of what is on disk.
        if _continues(head, directory, segments, expected):
            return head
        head.close()
        _set_aside(directory, path, "it belongs to another run")
    return None


def _continues(
    head: Ring, directory: JournalFolder, segments: Segments, expected: int | None
) -> bool:
    """Say whether *head* goes on where *segments* end."""
    if head.written < segments.end:
        return False
    if expected is None:
        # A run that ends well takes its head away: this one is older, or the directory is new.
        return directory.end() is None and directory.position() is None
    # With a mark that cannot be read, nothing on disk is given up for what the head says.
    return head.identity == expected or (expected == 0 and head.moved >= segments.end)


def _new_ring(directory: JournalFolder, segments: Segments, places: list[Path], size: int) -> Ring:
    position, end = directory.position(), directory.end()
    last = segments.last_line()
    known = [place for place in (position, end) if place is not None]
    start = max([segments.end, *(place.offset for place in known)])
    number = max([last.n + 1 if last else 1, *(place.number for place in known)])
    oldest = next((segment.start for segment in segments), start)
    for path in places:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            head = Ring.create(
                path, size, identity=secrets.randbits(63) | 1, start=start, number=number
            )
        except OSError as error:
            log.warning("journal.head_not_placed", path=str(path), error=str(error))
            continue
        # Without a position everything on disk is written again, which is harmless.
        head.commit(position.offset if position else oldest, position.number if position else 0)
        return head
    raise JournalError(f"{directory.path}: no room for a journal head of {size} bytes")


def open_calls(directory: JournalFolder, places: list[Path]) -> Calls:
    """Return the calls in flight of the last run where they are found, else none."""
    paths = [place.with_suffix(".calls") for place in places]
    for path in sorted(paths, key=lambda path: not path.exists()):
        try:
            return Calls.open(path)
        except RingDamagedError as error:
            _set_aside(directory, path, str(error))
            with suppress(OSError, RingDamagedError):
                return Calls.open(path)
        except OSError as error:
            log.warning("journal.calls_not_placed", path=str(path), error=str(error))
    raise JournalError(f"{directory.path}: no room for the calls in flight")


def _ring_lost(directory: JournalFolder, segments: Segments, instance: str) -> Gap:
    now = datetime.now(UTC)
    last = segments.last_line()
    known = last.moment if last else directory.last_moment()
    since = min(known, now) if known else now
    return Gap(
        id=new_record_id(),
        started_at=since,
        ended_at=now,
        count=None,
        reason="head_lost",
        instance=instance,
    )


def _set_aside(directory: JournalFolder, path: Path, reason: str) -> None:
    with suppress(OSError):
        kept = directory.move_to_damaged(path, f"{path.name}.{new_record_id()}")
        log.error("journal.file_set_aside", path=str(kept), reason=reason)
