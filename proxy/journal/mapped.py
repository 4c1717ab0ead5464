"""Files whose every byte is allocated and mapped: writing to them is writing to memory."""

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.journal.journal_error import RingDamagedError


class MappedFile:
    """A file that grows by whole regions, each allocated first and then mapped into memory.

    Allocated, because a write to a mapped page for which a full tmpfs has no room is answered with
    SIGBUS. What was written survives the death of this process however it dies: the pages belong
    to the file, not to us.
    """

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self.size = os.fstat(file).st_size
        self._file = file
        self._regions: list[mmap.mmap] = []
        self._views: list[memoryview] = []

    @classmethod
    def create(cls, path: Path) -> "MappedFile":
        """Make an empty file for this user alone; raise OSError when that is not possible."""
        return cls(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))

    @classmethod
    def open(cls, path: Path) -> "MappedFile":
        """Open the file of an earlier run; raise FileNotFoundError or RingDamagedError.

        /dev/shm belongs to everybody: what another user left there under our name is not ours.
        """
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            os.close(file)
            raise RingDamagedError(f"{path} is not a file of ours")
        return cls(path, file)

    def map(self, at: int, size: int) -> memoryview:
        """Return *size* bytes from *at*, allocated; raise OSError when there is no room."""
        os.posix_fallocate(self._file, at, size)
        self.size = max(self.size, at + size)
        # Populated, because the first touch of a page is a fault, and there would be one a record.
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        region = mmap.mmap(self._file, size, flags, offset=at)
        self._regions.append(region)
        return self._view(memoryview(region))

    def words(self, view: memoryview) -> memoryview:
        """Return *view* as 8-byte numbers, each of which is read and stored in one piece."""
        return self._view(view.cast("Q"))

    def _view(self, view: memoryview) -> memoryview:
        self._views.append(view)
        return view

    def close(self) -> None:
        """Unmap and close. Nobody may hold a part of a region any more."""
        for view in self._views:
            view.release()
        for region in self._regions:
            region.close()
        self._views.clear()
        self._regions.clear()
        os.close(self._file)


@contextmanager
def or_closed(file: MappedFile) -> Iterator[MappedFile]:
    """Close *file* when the block fails, so that a refused file leaves nothing open."""
    try:
        yield file
    except BaseException:
        file.close()
        raise
