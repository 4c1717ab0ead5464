"""Files that are allocated and mapped completely: writing to them is writing to memory."""

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.journal.journal_error import RingDamagedError


class MappedFile:
    """A file that grows by whole regions, each allocated first and then mapped into memory.

    Allocated, because a write to a mapped page for which a full tmpfs has no room raises SIGBUS.
    What was written survives the process however it ends: the pages belong to the file.
    """

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self.size = os.fstat(file).st_size
        self._file = file
        self._regions: list[mmap.mmap] = []
        self._views: list[memoryview] = []

    @classmethod
    def create(cls, path: Path) -> "MappedFile":
        """Make an empty file that only this user can open; raise OSError when that fails."""
        return cls(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))

    @classmethod
    def open(cls, path: Path) -> "MappedFile":
        """Open the file of an earlier run; raise FileNotFoundError or RingDamagedError.

        Any user can write to /dev/shm, so a file of another user under this name is rejected.
        """
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            os.close(file)
            raise RingDamagedError(f"{path} is not a regular file of this user")
        return cls(path, file)

    def map(self, at: int, size: int) -> memoryview:
        """Return *size* bytes from *at*, allocated; raise OSError when there is no room."""
        os.posix_fallocate(self._file, at, size)
        self.size = max(self.size, at + size)
        # Populated, because the first access to each page would else cost a page fault.
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        region = mmap.mmap(self._file, size, flags, offset=at)
        self._regions.append(region)
        return self._view(memoryview(region))

    def words(self, view: memoryview) -> memoryview:
        """Return *view* as 8-byte numbers, each read and stored in one access."""
        return self._view(view.cast("Q"))

    def _view(self, view: memoryview) -> memoryview:
        self._views.append(view)
        return view

    def close(self) -> None:
        """Unmap and close. No other view of a region may exist any more."""
        for view in self._views:
            view.release()
        for region in self._regions:
            region.close()
        self._views.clear()
        self._regions.clear()
        os.close(self._file)


@contextmanager
def or_closed(file: MappedFile) -> Iterator[MappedFile]:
    """Close *file* when the block fails, so that a rejected file leaves nothing open."""
    try:
        yield file
    except BaseException:
        file.close()
        raise
