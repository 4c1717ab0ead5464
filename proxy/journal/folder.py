"""The journal folder: its lock, its marks, and the files kept in it for the operator."""

import fcntl
import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import structlog

from proxy.journal.journal_error import JournalError, JournalLockedError

_RUNNING: Final = "running"
MAX_DAMAGED_BYTES: Final = 128 * 1024 * 1024
_MAX_QUARANTINE_BYTES: Final = 64 * 1024 * 1024
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Position(msgspec.Struct, frozen=True):
    """A place in the log: line *number* begins at *offset*."""

    offset: int
    number: int


class JournalFolder:
    """A folder that this process holds exclusively while it is open."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._running = self.path / _RUNNING
        self._position = self.path / "position.json"
        self._end = self.path / "end.json"
        self._file = _locked(self.path)

    def close(self) -> None:
        """Release the folder for another process."""
        os.close(self._file)

    def sync(self) -> None:
        """Make the directory entries of the folder durable."""
        os.fsync(self._file)

    def mark_running(self, identity: int) -> None:
        """Note that records may exist only in the ring *identity*, until `mark_ended`."""
        _replace(self._running, b"%d\n" % identity)
        self.sync()

    def mark_ended(self, end: Position) -> None:
        """Note that the log ends at *end*, and all of it is here or in PostgreSQL."""
        _replace(self._end, msgspec.json.encode(end))
        self._running.unlink(missing_ok=True)
        self.sync()

    def ring_in_use(self) -> int | None:
        """Return the identity of the ring that was in use when the last run was interrupted.

        None after a clean stop; 0 when the mark cannot be read.
        """
        try:
            return int(self._running.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return 0

    def save_position(self, position: Position) -> None:
        """Keep the writer's *position* for a start without the ring: all before it is stored.

        Without it records are written again, which is harmless.
        """
        _replace(self._position, msgspec.json.encode(position))

    def position(self) -> Position | None:
        """Return the saved position, or None when there is none or it cannot be read."""
        return _read(self._position)

    def end(self) -> Position | None:
        """Return where the log ended at the last clean stop; it has never been shorter since.

        If the last lines on disk were lost meanwhile, only this shows it.
        """
        return _read(self._end)

    def last_moment(self) -> datetime | None:
        """Return when the position was last saved, or else a run last began; None if unknown."""
        for path in (self._position, self._running):
            with suppress(OSError):
                return datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return None

    def keep_damaged(self, name: str, raw: bytes) -> Path:
        """Keep *raw* for the operator. The same *name* must always mean the same bytes."""
        kept = self._subfolder("damaged") / name
        kept.write_bytes(raw)
        self._bound(kept)
        return kept

    def move_to_damaged(self, path: Path, name: str) -> Path:
        """Keep the file *path* under *name* for the operator."""
        kept = self._subfolder("damaged") / name
        shutil.move(path, kept)
        self._bound(kept)
        return kept

    def _bound(self, newest: Path) -> None:
        """Remove the oldest damaged files beyond MAX_DAMAGED_BYTES; keep *newest*."""
        with suppress(OSError):
            oldest_first = sorted(
                newest.parent.iterdir(), key=lambda path: path.lstat().st_mtime_ns
            )
            total = sum(path.lstat().st_size for path in oldest_first)
            for path in oldest_first:
                if total > MAX_DAMAGED_BYTES and path != newest:
                    total -= path.lstat().st_size
                    path.unlink()
                    log.warning("journal.damaged_removed", path=str(path))

    def quarantine(self, line: bytes) -> Path:
        """Append *line* to the readable file of quarantined records, durably.

        Return its path. Raise OSError when the file is full or the disk fails.
        """
        # The folder keeps its old name: a file that an earlier version began is continued.
        kept = self._subfolder("set_aside") / "records.ndjson"
        with kept.open("ab", buffering=0) as file:
            size = file.tell()
            if size + len(line) > _MAX_QUARANTINE_BYTES:
                raise OSError(f"{kept} is full; look at it and remove it")
            if file.write(line) != len(line):
                file.truncate(size)
                raise OSError(f"{kept}: no room for a whole line")
            os.fsync(file.fileno())
        if not size:
            _sync_folder(kept.parent)
            self.sync()
        return kept

    def _subfolder(self, name: str) -> Path:
        """Return the subfolder *name*; make it if it is missing."""
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


def holds_records(path: Path) -> bool:
    """Return whether the journal in *path* may hold records for the next run."""
    return (path / _RUNNING).exists() or any(path.glob("*.ndjson"))


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _locked(path: Path) -> int:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise JournalError(f"{path}: no journal can be kept here: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise JournalLockedError(
            f"{path}: another process keeps its journal here; give each its own folder"
        ) from error
    return file


def _read(path: Path) -> Position | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Position)
    except (OSError, ValueError):
        return None


def _replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)
