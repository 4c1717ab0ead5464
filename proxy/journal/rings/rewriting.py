"""Writing anew what was removed under a running sidecar, as far as memory still has it.

The log from `committed` to `moved` must be on disk. Where it is not, a segment was removed, and
the ring may still have its bytes: they stay in it until newer ones take their place.
"""

import asyncio
import threading
from typing import Final

import structlog

from proxy.journal.calls import Calls
from proxy.journal.line import MAX_LINE_BYTES
from proxy.journal.parts import Parts
from proxy.journal.ring import Ring

_PIECE_BYTES: Final = 1024 * 1024
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Rewriting:
    """Looks whether files are gone, and replaces them. Belongs to the mover's thread."""

    def __init__(self, parts: Parts, loop: asyncio.AbstractEventLoop) -> None:
        """Look after *parts*, which *loop* appends to."""
        self._folder = parts.folder
        self._segments = parts.segments
        self._ring = parts.ring
        self._calls = parts.calls
        self._loop = loop

    def look(self) -> None:
        """Write anew what is gone; raise OSError when the disk fails."""
        try:
            self._look_at_segments()
        finally:
            for part in (self._ring, self._calls):
                if part.file.is_unlinked:
                    self._renew(part)

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

    def _renew(self, part: Ring | Calls) -> None:
        """Give *part* a new file; wait for the event loop to change over."""
        if part.path is None:
            return
        twin = part.file.twin()
        done = threading.Event()

        def change_over() -> None:
            part.change_to(twin)
            done.set()

        self._loop.call_soon_threadsafe(change_over)
        done.wait()
        twin.settle(part.path)
        log.error("journal.file_renewed", path=str(part.path))

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
