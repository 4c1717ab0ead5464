"""Segments: the log on disk, in files named by the offset at which each begins.

A segment holds the bytes of the log from its offset on. It ends where the next one begins, even if
its file is longer: so the rest of a failed write is ignored even when the file could not be cut.
Between two segments there may be a hole, because bytes that reach PostgreSQL before they are moved
never come to disk.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from math import inf
from operator import attrgetter
from pathlib import Path
from time import monotonic
from typing import Final

import structlog

from proxy.journal.folder import JournalFolder
from proxy.journal.line import Line, parse
from proxy.journal.segment_file import SegmentFile

_NAME: Final = re.compile(r"(\d{20})\.ndjson")
_TRIES: Final = 3
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Segment:
    """Log bytes from *start* on, *size* of them, in the file *path*."""

    start: int
    path: Path
    size: int
    failures: int = 0
    stored_at: float = inf
    """When all of it was first seen to be in PostgreSQL, by the monotonic clock."""

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Chunk:
    """Log bytes from *offset* on."""

    offset: int
    data: bytes
    is_last: bool
    """No bytes follow: an incomplete line at the end will never be completed."""


class Segments:
    """All segments of a folder, oldest first.

    The mover's thread appends and deletes; the reader's thread reads. The lock guards only the
    list and is never held during disk I/O; the event loop never takes it.
    """

    def __init__(self, folder: JournalFolder, segment_bytes: int) -> None:
        self._folder = folder
        self.segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self._lock = threading.Lock()
        self._file: SegmentFile | None = None
        self.total_bytes = 0
        self.is_listed = False
        """Whether the list is that of the folder. Until then nothing is read."""
        self.list_all()

    def unlist(self) -> None:
        """Forget what the folder holds: another process may have changed it since."""
        self._segments, self.total_bytes, self.is_listed = [], 0, False

    def list_all(self, moved: int | None = None) -> None:
        """List the segments that are in the folder, and delete those from *moved* on.

        Raise OSError when the folder cannot be read.
        """
        found: list[Segment] = []
        with suppress(FileNotFoundError):  # removed under a running sidecar
            found = list(_found(self._folder.path))
        with self._lock:
            self._segments = found
            self.total_bytes = sum(segment.size for segment in found)
        if moved is not None:
            self.delete_from(moved)
        self.is_listed = True

    def __iter__(self) -> Iterator[Segment]:
        with self._lock:
            return iter(list(self._segments))

    def spans(self) -> Iterator[tuple[Segment, int]]:
        """Yield each segment and the offset at which it ends, oldest first."""
        segments = list(self)
        for segment, following in zip_longest(segments, segments[1:]):
            yield segment, min(segment.end, following.start) if following else segment.end

    @property
    def end(self) -> int:
        """The offset after the last byte on disk; 0 when there is none."""
        return max((segment.end for segment in self), default=0)

    @property
    def is_open(self) -> bool:
        """Whether a segment is open for more bytes."""
        return self._file is not None

    def last_line(self, is_wanted: Callable[[Line], bool] = bool) -> Line | None:
        """Return the last sound line on disk that *is_wanted*; None when there is none."""
        for segment in reversed(list(self)):
            with suppress(OSError):
                for line in reversed(read_bytes(segment.path, 0, segment.size).split(b"\n")):
                    if (said := parse(line)) and is_wanted(said):
                        return said
        return None

    def delete_from(self, offset: int) -> None:
        """Delete segments that begin at *offset* or later: their bytes will be moved again."""
        for segment in self:
            if segment.start >= offset:
                with suppress(OSError):
                    segment.path.unlink()
                self._forget(segment)

    def holes(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of the log between *start* and *stop* that no segment holds."""
        at = start
        for segment, end in self.spans():
            if at < min(segment.start, stop):
                yield at, min(segment.start, stop)
            at = max(at, end)
        if at < stop:
            yield at, stop

    def forget_removed(self) -> int:
        """Forget segments whose file is gone; return how many bytes they had."""
        there = {path.name for path in self._folder.path.iterdir()}
        removed = [segment for segment in self if segment.path.name not in there]
        for segment in removed:
            if self._file and segment.start == self._file.start:
                self.leave()
            self._forget(segment)
        return sum(segment.size for segment in removed)

    def insert(self, start: int, data: bytes) -> None:
        """Make *data*, lines of the log from *start* on that no segment holds, durable.

        Raise OSError when the disk fails.
        """
        file = SegmentFile(self._folder.path / f"{start:020d}.ndjson", start)
        try:
            file.write(data)
            self._folder.sync()
        finally:
            file.close()
        with self._lock:
            self._segments.append(Segment(start, file.path, file.size))
            self._segments.sort(key=attrgetter("start"))
            self.total_bytes += len(data)

    def append(self, start: int, data: bytes) -> None:
        """Make *data*, complete lines of the log from *start* on, durable.

        Raise OSError when the disk fails; retry with the same bytes.
        """
        try:
            file = self._file_for(start, len(data))
            file.write(data)
            if file.start == start:
                self._folder.sync()
        except OSError:
            self.leave()
            raise
        with self._lock:
            if file.start == start:
                self._segments.append(Segment(start, file.path, 0))
            self._segments[-1].size = file.size
            self.total_bytes += len(data)

    def _file_for(self, start: int, length: int) -> SegmentFile:
        file = self._file
        is_listed = file is not None and any(known.start == file.start for known in self)
        if file and is_listed and file.end == start and file.size + length <= self.segment_bytes:
            return file
        self.leave()
        self._file = SegmentFile(self._folder.path / f"{start:020d}.ndjson", start)
        return self._file

    def leave(self) -> None:
        """Close the open segment, so that the next append begins a new one."""
        if self._file:
            self._file.close()
            self._file = None

    def delete_before(
        self,
        offset: int,
        *,
        arrived: int = 0,
        keep_seconds: float = 0.0,
        keep_bytes: int = 0,
        seen_at: float | None = None,
    ) -> None:
        """Delete segments that lie completely before *offset*, except the open one.

        Keep each for *keep_seconds* after it was first seen before *arrived*, as long as all
        segments take no more than *keep_bytes*. The time ends at *seen_at*, if given. A segment
        that has been open for that time is closed.
        """
        now = monotonic()
        if self._file and 0 < keep_seconds < now - self._file.opened_at:
            self.leave()
        for segment in self:
            if segment.end > offset or (self._file and segment.start == self._file.start):
                return
            if segment.end <= arrived:
                segment.stored_at = min(segment.stored_at, now)
            until = now if seen_at is None else seen_at
            is_kept = keep_seconds > 0 and until - segment.stored_at < keep_seconds
            if is_kept and self.total_bytes <= keep_bytes:
                continue
            segment.path.unlink(missing_ok=True)
            self._forget(segment)

    def read(self, offset: int, limit: int) -> Chunk | None:
        """Return at most *limit* bytes of the log from *offset*, or from the next on disk.

        Raise OSError when a segment cannot be read; after a few attempts it is quarantined.
        """
        for segment, end in self.spans():
            start = max(offset, segment.start)
            if start >= end:
                continue
            try:
                data = read_bytes(segment.path, start - segment.start, min(limit, end - start))
            except FileNotFoundError:
                if not self._folder.is_here():
                    raise
                # Removed: line numbers will show what is missing.
                continue
            except OSError as error:
                segment.failures += 1
                if segment.failures < _TRIES:
                    raise
                self._quarantine(segment, error)
                continue
            # No data: the file has become shorter. Line numbers will show what is missing.
            if data:
                return Chunk(start, data, is_last=start + len(data) >= end)
        return None

    def _quarantine(self, segment: Segment, error: OSError) -> None:
        path = segment.path
        try:
            path = self._folder.move_to_damaged(path, path.name)
        except OSError as failure:
            log.error("journal.file_left", path=str(path), error=str(failure))
        self._forget(segment)
        log.error("journal.segment_quarantined", path=str(path), error=str(error))

    def _forget(self, segment: Segment) -> None:
        # The mover and the reader may find at the same time that it is gone.
        with self._lock, suppress(ValueError):
            self._segments.remove(segment)
            self.total_bytes -= segment.size


def _found(folder: Path) -> Iterator[Segment]:
    for path in sorted(folder.iterdir()):
        if name := _NAME.fullmatch(path.name):
            yield Segment(int(name[1]), path, path.lstat().st_size)


def read_bytes(path: Path, at: int, length: int) -> bytes:
    """Return at most *length* bytes of *path* from *at* on; raise OSError, never block."""
    # Not blocking: a file with a segment's name may be a pipe.
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.pread(file, length, at)
    finally:
        os.close(file)
