"""The mark of an export or of a stream, kept in a file so that a later run goes on there.

The first line is the mark as curl would pass it. Behind it stands how much of the output file
belongs to it, so that what a killed run wrote beyond is removed and not told twice.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit_log.process.durability import sync_folder


class MarkFileError(Exception):
    """The file of the mark cannot be used. The message says why and what to do."""


class MarkFileInUseError(MarkFileError):
    """Another run goes on from this file."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in the file."""

    mark: str | None
    """None before the first part."""
    output: tuple[int, int] | None = None
    """The inode of the output file, and its size when the mark was kept."""


class MarkFile:
    """A file that is replaced as a whole: after a kill it has the old mark or the new one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Kept | None:
        """Return what is kept; None before the first mark. Raise MarkFileError."""
        try:
            lines = self.path.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise MarkFileError(f"the mark in {self.path} cannot be read: {error}") from None
        mark, state, *_ = [*lines, "", ""]
        inode, _, size = state.partition(" ")
        output = (int(inode), int(size)) if inode.isdecimal() and size.isdecimal() else None
        if not mark and output is None:
            raise MarkFileError(
                f"{self.path} holds no mark: remove it to begin with the oldest entry"
            )
        return Kept(mark.strip() or None, output)

    def keep(self, kept: Kept) -> None:
        """Replace what the file holds, on disk when this returns. Raise MarkFileError."""
        output = "" if kept.output is None else f"{kept.output[0]} {kept.output[1]}\n"
        replace_whole(self.path, f"{kept.mark or ''}\n{output}".encode("ascii"))


def replace_whole(path: Path, content: bytes) -> None:
    """Replace what the file at *path* holds, on disk when this returns. Raise MarkFileError."""
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("wb") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise MarkFileError(f"the mark cannot be kept in {path}: {error.strerror}") from None


@contextmanager
def marks_in(path: Path) -> Iterator[MarkFile]:
    """Yield the marks in *path*, for this run alone. Raises as `held_alone` does."""
    with held_alone(path):
        yield MarkFile(path)


@contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """Let this run alone go on from *path*, a file or several, beside the block.

    Raises MarkFileInUseError while another run has it, as one that cron began too early.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise MarkFileError(f"{lock} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise MarkFileInUseError(f"another run goes on from {path}") from None
    try:
        yield
    finally:
        os.close(descriptor)
