"""A disk that can be stalled: a file system of its own, whose every write the kernel holds up.

Needs root, loop devices and e2fsprogs. A *leash*, a shell that reads a pipe from us, thaws and
unmounts it as soon as the pipe closes, however we died.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SIZE_BYTES: Final = 2 * 1024**3
_LEASH: Final = 'read -r _; fsfreeze -u "$1" 2>&-; umount "$1" || umount -l "$1"'


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted file system."""

    path: Path

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Let every write wait until the block ends."""
        _run("fsfreeze", "-f", self.path)
        try:
            yield
        finally:
            _run("fsfreeze", "-u", self.path)


@contextmanager
def mounted_disk(directory: Path) -> Iterator[Disk]:
    """Make a file system in *directory* and mount it there."""
    image, path = directory / "image", directory / "mounted"
    path.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(_SIZE_BYTES)
    _run("mkfs.ext4", "-q", "-F", image)
    _run("mount", "-o", "loop", image, path)
    leash = subprocess.Popen(
        ["/bin/sh", "-c", _LEASH, "leash", path], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield Disk(path)
    finally:
        leash.communicate()


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, timeout=60)
