"""The segment that is being written."""

import os
from contextlib import suppress
from pathlib import Path
from time import monotonic


class SegmentFile:
    """A new segment from *start* on. Its valid part always ends where a batch ended."""

    def __init__(self, path: Path, start: int) -> None:
        self.path = path
        self.start = start
        self.size = 0
        self.opened_at = monotonic()
        # A file of this name can only be left by a failed attempt, whose bytes did not count.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)

    @property
    def end(self) -> int:
        """The offset at which the next batch must begin."""
        return self.start + self.size

    def write(self, data: bytes) -> None:
        """Append *data* durably; raise OSError, and count none of it, when that fails.

        After a failed sync the kernel may mark pages as clean that never reached the disk. A
        retry writes the same bytes again, which marks the pages as dirty again.
        """
        rest = memoryview(data)
        at = self.size
        while rest:
            count = os.pwrite(self._file, rest, at)
            rest, at = rest[count:], at + count
        os.fdatasync(self._file)
        self.size += len(data)

    def close(self) -> None:
        """Close, and cut off what a failed write left, if the disk allows it."""
        with suppress(OSError):
            if self.size:
                os.ftruncate(self._file, self.size)
            else:
                self.path.unlink()
        with suppress(OSError):
            os.close(self._file)
