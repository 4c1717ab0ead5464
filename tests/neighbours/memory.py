"""Directories in memory for the files of PostgreSQL.

A database is about 300 files. On a disk's file system making them takes ten times the CPU.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_TMPFS: Final = "/dev/shm"
_ROOM_BYTES: Final = 2**31


@contextmanager
def directory_in_memory(prefix: str) -> Iterator[Path]:
    """Yield a new directory, and remove it. It is on disk where a tmpfs with room is missing."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place_in_memory()) as name:
        yield Path(name)


def place_in_memory() -> str | None:
    """Return the tmpfs of this machine if 2 GiB are free there; containers often have 64 MiB."""
    has_room = Path(_TMPFS).is_dir() and shutil.disk_usage(_TMPFS).free >= _ROOM_BYTES
    return _TMPFS if has_room else None
