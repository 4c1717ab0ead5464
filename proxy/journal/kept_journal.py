"""A journal that no sidecar uses any more, such as one from the volume of a lost pod."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from proxy.journal.batch import Assembly, Batch
from proxy.journal.folder import JournalFolder
from proxy.journal.ring_header import Place
from proxy.journal.rings.log_files import sealing_of
from proxy.journal.segments import Segment, Segments, read_bytes

BATCH_LINES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Finding:
    """The contents of one segment."""

    path: Path
    size: int
    records: int
    events: int
    """What the sidecar told of itself: starts, stops, settings."""
    oldest: datetime | None
    newest: datetime | None
    damaged_bytes: int
    is_readable: bool
    missing: int
    """Records missing in it or before it, by the line numbers."""

    @property
    def is_sound(self) -> bool:
        """Whether every record is there, as it was written."""
        return self.is_readable and not self.damaged_bytes and not self.missing


class KeptJournal:
    """Reads every segment from its beginning, whatever was written to a database before."""

    def __init__(self, path: Path) -> None:
        self._folder = JournalFolder(path)
        self._segments = Segments(self._folder, 0)
        # An event does not tell it.
        last = self._segments.last_line(lambda line: line.event is None)
        said = last and (last.kept or last.gap)
        self._instance = said.instance if said else ""
        self._batches = self._read()
        self.unwritten_bytes = self._segments.total_bytes

    @property
    def was_stopped_cleanly(self) -> bool:
        """Whether every record of the sidecar is here or in its database, and none in a ring."""
        return self._folder.marks.ring_in_use() is None

    def close(self) -> None:
        """Release the folder for another process."""
        self._folder.close()

    def findings(self) -> Iterator[Finding]:
        """Yield the contents of each segment, oldest first."""
        assembly, start = Assembly(self._instance), Place(0, 0, None)
        for segment, data in self._contents():
            start = replace(start, offset=segment.start)
            batch = assembly.batch(data, start, len(data))
            start = batch.following
            times = [record.created_at for record in batch.records]
            yield Finding(
                path=segment.path,
                size=segment.size,
                records=len(batch.records),
                events=len(batch.events),
                oldest=min(times, default=None),
                newest=max(times, default=None),
                damaged_bytes=sum(len(damage.raw) for damage in batch.damages),
                is_readable=bool(data) or not segment.size,
                missing=batch.missing,
            )

    async def read(self, after: Batch | None = None) -> Batch | None:  # noqa: ARG002  see `Source`
        """Return the next batch, once; None at the end."""
        return next(self._batches, None)

    def commit(self, batch: Batch) -> None:
        """Note that all of *batch* is written."""
        self.unwritten_bytes = self.bytes_after(batch)

    def bytes_after(self, batch: Batch) -> int:
        """Return how many bytes follow *batch*."""
        return self._segments.end - batch.end

    async def quarantine(self, line: bytes) -> Path:
        """Keep *line*, which the store refuses, in a readable file; raise OSError if it fails."""
        return self._folder.quarantine(line)

    def end_reading(self) -> None:
        """Do nothing: reading ends at the last segment."""

    def _read(self) -> Iterator[Batch]:
        # A line that is read here and by a sidecar later has one place.
        assembly = Assembly(self._instance, sealing_of(self._folder.path))
        start = Place(0, 0, None)
        for segment, data in self._contents():
            start = replace(start, offset=segment.start)
            while (at := start.offset - segment.start) < len(data):
                batch = assembly.batch(data[at:], start, BATCH_LINES)
                start = batch.following
                yield batch

    def _contents(self) -> Iterator[tuple[Segment, bytes]]:
        for segment, end in self._segments.spans():
            data = b""
            with suppress(OSError):
                data = read_bytes(segment.path, 0, end - segment.start)
            yield segment, data
