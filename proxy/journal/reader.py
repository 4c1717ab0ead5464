"""Reads a small batch of the log, from the ring or from segments."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from proxy.journal.batch import Assembly, Batch, Damage
from proxy.journal.parts import Parts
from proxy.journal.ring_header import Place
from proxy.journal.rings.rewriting import kept_lines, oldest_kept
from proxy.journal.segments import Chunk

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
_PIECE_BYTES: Final = 256 * 1024
"""What is read at once: several lines in any case. To parse it takes a few milliseconds."""


class Reader:
    """Reads the log in its order. Only the reader's thread may call what reads a disk.

    The ring is read first. While the writer keeps up, no disk is read, and a dead disk keeps no
    records from the database.
    """

    def __init__(self, parts: Parts, instance: str) -> None:
        self._ring = parts.ring
        self._segments = parts.segments
        self._folder = parts.folder
        self._log = None if parts.log is None else parts.log.kept
        self._unsealed = Assembly(instance)
        self._assembly = (
            self._unsealed if self._log is None else Assembly(instance, self._log.state.sealing)
        )

    def read(self, start: Place, max_lines: int) -> Batch:
        """Return a small batch that begins at *start*, or at the next bytes that exist.

        Raise OSError when the disk fails.
        """
        return self._batch(self._chunk(start.offset, _PIECE_BYTES), start, max_lines)

    def read_memory(self, start: Place, max_lines: int) -> Batch | None:
        """Return what `read` returns, or None where that needs a disk."""
        chunk = self._in_ring(start.offset, _PIECE_BYTES)
        return self._batch(chunk, start, max_lines) if chunk else None

    def keep_damages(self, batch: Batch) -> None:
        """Keep the damaged bytes of *batch* for the operator, if the disk accepts them."""
        for damage in batch.damages:
            self._keep(damage)

    def _batch(self, chunk: Chunk, start: Place, max_lines: int) -> Batch:
        data = chunk.data
        if not data:
            return self._nothing_left(start)
        if not chunk.is_last:
            # The last line goes on in the next chunk. Without any line feed all of it is damaged.
            data = data[: data.rfind(b"\n") + 1] or data
        if self._is_overwritten(start, chunk):
            batch = self._assembled(data, Place(chunk.offset, 0, start.moment), max_lines)
            if start.number < batch.first_number <= self._next_leaf:
                batch.gaps.insert(0, self._assembly.kept_no_longer(start, batch))
                return batch
        return self._assembled(data, replace(start, offset=chunk.offset), max_lines)

    def _assembled(self, data: bytes, start: Place, max_lines: int) -> Batch:
        batch = self._assembly.batch(data, start, max_lines)
        if self._log is None or self._log.may_place(batch.first_number, batch.next_number):
            return batch
        return self._unsealed.batch(data, start, max_lines)

    @property
    def _next_leaf(self) -> int:
        """The number of the first line that has no leaf; 0 without a seal."""
        return 0 if self._log is None else self._log.state.next_line

    def _is_overwritten(self, start: Place, chunk: Chunk) -> bool:
        """Say whether what was at *start* was sealed and let go since: *chunk* is the oldest.

        Lines that are missing between others were missing when they were sealed.
        """
        if chunk.offset == start.offset or not 0 < start.number < self._next_leaf:
            return False
        return oldest_kept(self._ring, self._segments, chunk.offset) == chunk.offset

    def _nothing_left(self, start: Place) -> Batch:
        """Return the batch in which everything from *start* to the end is missing."""
        while True:
            end, following = self._ring.written, self._ring.next_number()
            if end == self._ring.written:
                break
        until = self._ring.moments.began_at if end == self._ring.origin else None
        return self._assembly.missing(end, start, following, until or datetime.now(UTC))

    def _chunk(self, offset: int, limit: int) -> Chunk:
        chunk = self._in_ring(offset, limit)
        if chunk is not None:
            return chunk
        if not self._segments.is_listed:
            raise OSError(f"{self._folder.path} is not listed yet")
        found = self._segments.read(offset, limit)
        if found is not None and found.offset == offset:
            return found
        # The bytes at the offset were lost with their segment: go on with the next that exist.
        at, data = kept_lines(self._ring, offset, limit)
        if data and (found is None or at < found.offset):
            return Chunk(at, data, is_last=False)
        return found or Chunk(self._ring.written, b"", is_last=True)

    def _in_ring(self, offset: int, limit: int) -> Chunk | None:
        data = self._ring.peek(offset, limit)
        return Chunk(offset, data, is_last=False) if data else None

    def _keep(self, damage: Damage) -> None:
        path: Path | None = None
        with suppress(OSError):
            path = self._folder.keep_damaged(f"{damage.offset:020d}.raw", damage.raw)
        log.error("journal.lines_damaged", bytes=len(damage.raw), path=str(path))
