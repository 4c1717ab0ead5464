"""An anchor in a folder, best on another volume: the newest checkpoint, and one of each hour.

Each log has two files. `<log>.checkpoint` is replaced with each checkpoint. `<log>.history` gains
a checkpoint an hour, and is only appended to.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from audit_log.errors import SealFormatError
from audit_log.process.disk_thread import DiskThread
from audit_log.process.durability import sync_folder
from audit_log.seal.checkpoint import Checkpoint
from audit_log.seal.note import Note
from proxy.seal.anchors.anchor import (
    AnchorAwayError,
    Anchored,
    AnchorRefusedError,
    Offer,
)

HISTORY_SECONDS: Final = 3600
_MODE: Final = 0o644


class FileAnchor:
    """Writes checkpoints into *folder*, in a thread: the volume may hang."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_made = False
        self._thread: DiskThread | None = None

    async def anchor(self, offer: Offer) -> Anchored:
        """Write the checkpoint to disk; see `Anchor.anchor`."""
        if self._thread is None:
            self._thread = DiskThread("anchor-file")
        now = datetime.now(UTC)
        try:
            path = await self._thread.submit(self._keep, offer, now.timestamp())
        except OSError as error:
            raise AnchorAwayError(f"{self._folder} cannot be written: {error.strerror}") from None
        return Anchored(str(path), now)

    async def close(self) -> None:
        """Let the thread end."""
        if self._thread is not None:
            self._thread.end()

    def _keep(self, offer: Offer, now: float) -> Path:
        # Once, and again only after a failure: a folder that is being removed is left alone. Its
        # parents are never made: they may be where a volume is not mounted.
        if not self._is_made:
            self._folder.mkdir(exist_ok=True)
            self._is_made = True
        try:
            return keep_in(self._folder, offer, now)
        except FileNotFoundError:
            self._is_made = False
            raise


def keep_in(folder: Path, offer: Offer, now: float) -> Path:
    """Write the checkpoint of *offer* to disk at *now*, in Unix seconds; return its file.

    Raise OSError, or AnchorRefusedError when the folder has a checkpoint that contradicts it.
    """
    file = folder / f"{file_name(offer.checkpoint.origin)}.checkpoint"
    _check_growth(file, offer.checkpoint)
    text = str(offer.note)
    _append_hourly(file.with_suffix(".history"), text, now)
    _replace(file, text)
    return file


def file_name(origin: str) -> str:
    """Return what the files of a log are called, without the ending."""
    # The origin is percent-encoded, and unique by its last part.
    return origin.replace("/", "_")


def _check_growth(file: Path, offered: Checkpoint) -> None:
    try:
        kept = Checkpoint.parse(Note.parse(file.read_bytes()).text)
    except FileNotFoundError:
        return
    except SealFormatError:
        # Not ours, or cut short by a volume that does not keep its word: it is replaced.
        return
    if kept.size > offered.size:
        raise AnchorRefusedError(
            f"{file} has a checkpoint of {kept.size} leaves, and the log now has {offered.size}: "
            "the journal folder was brought back to an older state"
        )
    if kept.size == offered.size and kept.root != offered.root:
        raise AnchorRefusedError(f"{file} has another checkpoint of {kept.size} leaves: a fork")


def _append_hourly(history: Path, text: str, now: float) -> None:
    """Append *text* and an empty line, unless the last one is younger than an hour."""
    with suppress(FileNotFoundError):
        if 0 <= now - history.stat().st_mtime < HISTORY_SECONDS:
            return
    descriptor = os.open(history, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(f"{text}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def _replace(file: Path, text: str) -> None:
    # A name of its own: two sidecars may share the folder.
    new = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as out:
            out.write(text.encode())
            out.flush()
            os.fsync(out.fileno())
        new.replace(file)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)
