"""Files that are allocated and mapped completely: writing to them is writing to memory."""

import fcntl
import mmap
import os
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from proxy.journal.journal_error import RingDamagedError

LOOKS: Final = 10
"""How often a lock is tried: the command that lists rings holds each for a moment."""
LOOK_SECONDS: Final = 0.02


class MappedFile:
    """A file that grows by whole regions, each allocated first and then mapped into memory.

    Allocated, because a write to a mapped page for which a full tmpfs has no room raises SIGBUS.
    What was written survives the process however it ends: the pages belong to the file.
    """

    def __init__(self, path: Path | None, file: int) -> None:
        self.path = path
        """None for a file without a name, which ends with the process."""
        self.size = os.fstat(file).st_size
        self._file = file
        self.regions: list[memoryview] = []
        """The regions, in the order of the file."""
        self._maps: list[mmap.mmap] = []
        self._views: list[memoryview] = []
        self.former: MappedFile | None = None
        """The file in whose place this one is. Another thread may still read it."""

    @classmethod
    def create(cls, path: Path) -> "MappedFile":
        """Make an empty file that only this user can open; raise OSError when that fails."""
        return cls(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))

    @classmethod
    def nameless(cls) -> "MappedFile":
        """Make an empty file that has no name and is gone when the process ends."""
        return cls(None, os.memfd_create("podwarden-audit"))

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
        self._maps.append(region)
        view = memoryview(region)
        self.regions.append(view)
        return view

    def words(self, view: memoryview) -> memoryview:
        """Return *view* as 8-byte numbers, each read and stored in one access."""
        words = view.cast("Q")
        self._views.append(words)
        return words

    def twin(self) -> "MappedFile":
        """Return a new, empty file with the same regions beside the place of this one, held.

        For a file that was removed. It comes to its place by `settle`, when it is filled. Raise
        OSError when there is no room.
        """
        if self.path is None:
            raise FileNotFoundError("the file has no place")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self.path.with_stem(f"{self.path.stem}-new")
        beside.unlink(missing_ok=True)
        with or_closed(MappedFile.create(beside)) as file:
            try:
                for region in self.regions:
                    file.map(file.size, len(region))
            except OSError:
                file.remove()
                raise
            file.hold()
            return file

    def settle(self, path: Path) -> None:
        """Bring the file to *path*; raise OSError when that fails."""
        if self.path is not None:
            self.path = self.path.replace(path)

    def take_over(self, former: "MappedFile") -> None:
        """Copy the regions of *former*, of which this file is the twin."""
        self.former = former
        for ours, theirs in zip(self.regions, former.regions, strict=True):
            ours[:] = theirs

    def hold(self) -> bool:
        """Lock the file for this process; return False while another one uses it."""
        for _ in range(LOOKS):
            if hold(self._file):
                return True
            time.sleep(LOOK_SECONDS)
        return False

    @property
    def is_unlinked(self) -> bool:
        """Whether the file was removed, so that no other process can find it any more."""
        return self.path is not None and os.fstat(self._file).st_nlink == 0

    def remove(self) -> None:
        """Remove the file; the mapping stays until `close`."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmap and close. No other view of a region may exist any more."""
        if self.former is not None:
            self.former.close()
        for view in (*self._views, *self.regions):
            view.release()
        for region in self._maps:
            region.close()
        self._views.clear()
        self.regions.clear()
        self._maps.clear()
        os.close(self._file)


@contextmanager
def or_closed(file: MappedFile) -> Iterator[MappedFile]:
    """Close *file* when the block fails, so that a rejected file leaves nothing open."""
    try:
        yield file
    except BaseException:
        file.close()
        raise


def hold(file: int) -> bool:
    """Lock *file* until it is closed; return False if another process keeps it locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_in_use(path: Path, *, takes_lock: bool) -> bool:
    """Return whether another process has the file *path* open; raise OSError if it is not ours.

    A sidecar before version 0.2 *takes* no *lock*. The kernel tells of it all the same: it grants
    a write lease only for a file that is open once. A file system may have no leases; then the
    return value is False.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        return not hold(file) or not (takes_lock or _is_leased(file))
    finally:
        os.close(file)


def _is_leased(file: int) -> bool:
    """Take a write lease of *file* and give it back; return whether that was possible."""
    # The default signal of a broken lease ends the process; this one is ignored.
    fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True
