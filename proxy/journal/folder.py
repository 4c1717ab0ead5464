"""The journal folder: its lock, and the files kept in it for the operator."""

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from audit_log.process.durability import sync_folder
from audit_log.record import new_record_id
from proxy.journal.journal_error import JournalError, JournalLockedError
from proxy.journal.marks import Marks, id_of, is_in_use

MAX_DAMAGED_BYTES: Final = 128 * 1024 * 1024
_MAX_QUARANTINE_BYTES: Final = 64 * 1024 * 1024
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class JournalFolder:
    """A folder that this process holds exclusively while it is open."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.marks = Marks(self.path, self.sync)
        self._file = _locked(self.path)

    def close(self) -> None:
        """Release the folder for another process."""
        os.close(self._file)

    def is_here(self) -> bool:
        """Return whether the folder that is held lies at `path`."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def hold_again(self) -> bool:
        """Hold the folder at `path` if the one that was held is gone; return whether it was.

        Make it if it is missing. Raise OSError while the folder is elsewhere, as it may come
        back, or while another journal lies at `path`.
        """
        if self.is_here():
            return False
        if not self.path.exists() and os.fstat(self._file).st_nlink:
            raise FileNotFoundError(f"No such file or directory: {self.path} was moved away")
        if id_of(self.path) not in {None, self.marks.marked_id}:
            raise FileExistsError(f"{self.path} holds another journal now")
        try:
            opened = _locked(self.path)
        except JournalError as error:
            raise OSError(str(error)) from error
        os.close(self._file)
        self._file = opened
        log.error("journal.folder_replaced", path=str(self.path))
        return True

    def sync(self) -> None:
        """Make the directory entries of the folder durable."""
        os.fsync(self._file)

    def keep_damaged(self, name: str, raw: bytes) -> Path:
        """Keep *raw* for the operator. The same *name* must always mean the same bytes."""
        kept = self._subfolder("damaged") / name
        kept.write_bytes(raw)
        self._bound(kept)
        return kept

    def move_to_damaged(self, path: Path, name: str) -> Path:
        """Keep the file *path* under *name* for the operator."""
        kept = self._subfolder("damaged") / name
        try:
            shutil.move(path, kept)
        except OSError:
            if path.exists():  # what was copied of it takes room
                kept.unlink(missing_ok=True)
            raise
        self._bound(kept)
        return kept

    def quarantine_file(self, path: Path, reason: str) -> None:
        """Keep the file *path* for the operator; leave it where it is if it cannot be moved."""
        try:
            kept = self.move_to_damaged(path, f"{path.name}.{new_record_id()}")
        except OSError as error:
            log.error("journal.file_left", path=str(path), reason=reason, error=str(error))
        else:
            log.error("journal.file_quarantined", path=str(kept), reason=reason)

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
        kept = quarantine_of(self.path)
        _ = self._subfolder(kept.parent.name)
        with kept.open("ab", buffering=0) as file:
            size = file.tell()
            if size + len(line) > _MAX_QUARANTINE_BYTES:
                raise OSError(f"{kept} is full; look at it and remove it")
            if file.write(line) != len(line):
                file.truncate(size)
                raise OSError(f"{kept}: no room for a whole line")
            os.fsync(file.fileno())
        if not size:
            sync_folder(kept.parent)
            self.sync()
        return kept

    def _subfolder(self, name: str) -> Path:
        """Return the subfolder *name*; make it if it is missing."""
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


def quarantine_of(path: Path) -> Path:
    """Return the file of quarantined records of the journal in *path*."""
    # The folder keeps its old name: a file that an earlier version began is continued.
    return path / "set_aside" / "records.ndjson"


def holds_records(path: Path) -> bool:
    """Return whether the journal in *path* may hold records for the next run."""
    return is_in_use(path) or any(path.glob("*.ndjson"))


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
