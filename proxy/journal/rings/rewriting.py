"""Writing anew what was removed under a running sidecar, as far as memory still has it.

The log from `committed` to `moved` must be on disk. Where it is not, a segment was removed, and
the ring may still have its bytes: they stay in it until newer ones take their place. The files of
the ring and the slots are a matter of `memory_upkeep`.
"""

import asyncio
import threading
from contextlib import suppress
from typing import Final

import structlog

from proxy.journal.line import MAX_LINE_BYTES
from proxy.journal.parts import Parts
from proxy.journal.ring import Ring
from proxy.journal.segments import Segments

_PIECE_BYTES: Final = 1024 * 1024
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Rewriting:
    """Looks whether segments are gone, and writes them anew. Belongs to the mover's thread."""

    def __init__(self, parts: Parts, loop: asyncio.AbstractEventLoop) -> None:
        """Look after *parts*, which *loop* reads."""
        self._folder = parts.folder
        self._segments = parts.segments
        self._ring = parts.ring
        self._loop = loop

    def look(self) -> None:
        """Write anew what is gone; raise OSError when the disk fails."""
        try:
            self._look_at_segments()
        finally:
            if self._ring.is_renewed:
                self._follow()

    def _look_at_segments(self) -> None:
        if self._folder.hold_again():
            self._segments.leave()
        gone = self._segments.forget_removed()
        written = sum(
            self._write(start, stop)
            for start, stop in self._segments.holes(self._ring.committed, self._ring.moved)
        )
        if gone or written:
            log.error("journal.segments_removed", bytes=gone, rewritten_bytes=written)

    def _follow(self) -> None:
        """Have the event loop change over to the new file of the ring."""
        done = threading.Event()

        def change_over() -> None:
            with suppress(OSError):  # tried again with the next look
                self._ring.follow()
            done.set()

        self._loop.call_soon_threadsafe(change_over)
        done.wait()

    def _write(self, start: int, stop: int) -> int:
        """Write the log from *start* to *stop* anew; return how many bytes the ring still had."""
        at, count = start, 0
        while at < stop:
            limit = min(_PIECE_BYTES, self._segments.segment_bytes, stop - at)
            at, data = kept_lines(self._ring, at, limit)
            data = data[: max(stop - at, 0)]
            if not data:
                break
            self._segments.insert(at, data)
            at, count = at + len(data), count + len(data)
        return count


def oldest_kept(ring: Ring, segments: Segments, otherwise: int) -> int:
    """Return where the oldest line in memory or on disk begins; *otherwise* if none is older."""
    in_ring, lines = kept_lines(ring, 0, 1)
    on_disk = next((segment.start for segment in segments), otherwise)
    return min(otherwise, on_disk, in_ring if lines else otherwise)


def kept_lines(ring: Ring, offset: int, limit: int) -> tuple[int, bytes]:
    """Return complete lines that *ring* has from *offset*, or from the oldest that it has, on.

    The offset of the first of them comes first. *offset* must be where a line begins.
    """
    oldest = max(ring.origin, min(ring.floor, ring.written - ring.size + MAX_LINE_BYTES))
    at = max(offset, oldest)
    data = ring.peek(at, max(limit, 2 * MAX_LINE_BYTES)) or b""
    if at not in (offset, ring.origin):
        # Somewhere in a line.
        begun = data.find(b"\n") + 1
        at, data = at + begun, data[begun:]
    data = data[: max(limit, data.find(b"\n") + 1)]
    return at, data[: data.rfind(b"\n") + 1]
