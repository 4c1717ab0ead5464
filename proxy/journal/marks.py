"""What a journal folder says of itself, in small files: its id, its ring, and two places.

    id              the number that a folder has for good; its rings carry it too
    running         the identity of the ring in use; removed at a clean stop
    position.json   before it everything is in PostgreSQL
    end.json        where the log ended at the last clean stop, and the ring that ended there
    sealed          the log of the seal that the last run had; missing when it sealed nothing

Each file is replaced as a whole, so a kill leaves the old one or the new one.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

_RUNNING: Final = "running"
_UNREADABLE: Final = 0


class ArrivedPosition(msgspec.Struct, frozen=True):
    """A place in the log up to which all is in PostgreSQL."""

    offset: int
    number: int
    moment: datetime | None = None


class Position(msgspec.Struct, frozen=True):
    """A place in the log: line *number* begins at *offset*."""

    offset: int
    number: int
    moment: datetime | None = None
    """When the last line before it was appended, or earlier. Unknown before version 0.2."""
    ring: int = 0
    """The identity of the ring that ended here; 0 when it is not known."""
    store: int = 0
    """The store that has what lies before it, as the writer named it; 0 when not known."""
    arrived: ArrivedPosition | None = None
    """Before it all is in PostgreSQL, and between the two in a stream; None without one."""


class Marks:
    """The small files of one folder."""

    def __init__(self, folder: Path, sync: Callable[[], None]) -> None:
        """Keep the files in *folder*; *sync* makes its directory entries durable."""
        self._id = folder / "id"
        self._running = folder / _RUNNING
        self._position = folder / "position.json"
        self._end = folder / "end.json"
        self._sealed = folder / "sealed"
        self._sync = sync
        self._saved: Position | None = None
        self.marked_id: int | None = None
        """The id of the folder, as `mark_running` was given it."""
        self.began_at: datetime | None = None
        """When the folder got its id, before its first line, as `mark_running` found it."""
        self.is_marked = False
        """Whether `mark_running` succeeded, and its files were there at the last `look`."""

    def folder_id(self) -> int | None:
        """Return the id of the folder, or None when it has none yet or it cannot be read."""
        return _number(self._id) or None

    def look(self) -> None:
        """See whether the files are still there; those that are not will be written again."""
        self.is_marked = self._id.exists() and self._running.exists()
        if not self._position.exists():
            self._saved = None

    def mark_running(self, folder_id: int, ring: int, log: int | None) -> None:
        """Note that records may exist only in *ring*, an identity, until `mark_ended`.

        *log* is the log of the seal that they get their places in, if any.
        """
        self.marked_id = folder_id
        if log is None:
            self._sealed.unlink(missing_ok=True)
        elif log != self.sealed_log():
            _replace(self._sealed, b"%d\n" % log)
        if self.folder_id() != folder_id:
            _replace(self._id, b"%d\n" % folder_id)
        self.began_at = _changed(self._id)
        _replace(self._running, b"%d\n" % ring)
        self._sync()
        self.is_marked = True

    def mark_ended(self, end: Position) -> None:
        """Note that the log ends at *end*, and all of it is here or in PostgreSQL."""
        _replace(self._end, msgspec.json.encode(end))
        self._running.unlink(missing_ok=True)
        self._sync()

    def ring_in_use(self) -> int | None:
        """Return the identity of the ring that was in use when the last run was interrupted.

        None after a clean stop; 0 when the mark cannot be read.
        """
        return _number(self._running)

    def sealed_log(self) -> int | None:
        """Return the log that the last run sealed its lines in, None when it sealed none."""
        return _number(self._sealed) or None

    def save_position(self, position: Position) -> None:
        """Keep the writer's *position* for a start without the ring: all before it is stored.

        Without it records are written again, which is harmless.
        """
        if position != self._saved:
            _replace(self._position, msgspec.json.encode(position))
            self._saved = position

    def position(self) -> Position | None:
        """Return the saved position, or None when there is none or it cannot be read."""
        return _read(self._position)

    def end(self) -> Position | None:
        """Return where the log ended at the last clean stop; it has never been shorter since.

        If the last lines on disk were lost meanwhile, only this shows it.
        """
        return _read(self._end)

    def ended_at(self) -> datetime | None:
        """Return when the last clean stop was, or None."""
        end = self.end()
        return (end and end.moment) or _changed(self._end)

    def last_moment(self) -> datetime | None:
        """Return when the position was last saved, or else a run last began; None if unknown."""
        return _changed(self._position) or _changed(self._running)


def is_in_use(folder: Path) -> bool:
    """Return whether the last run in *folder* was interrupted."""
    return (folder / _RUNNING).exists()


def id_of(folder: Path) -> int | None:
    """Return the id of *folder*; None when it has none, or there is no such folder."""
    return _number(folder / "id") or None


def _changed(path: Path) -> datetime | None:
    with suppress(OSError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return _UNREADABLE


def _read(path: Path) -> Position | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Position)
    except (OSError, ValueError):
        return None


def _replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)
