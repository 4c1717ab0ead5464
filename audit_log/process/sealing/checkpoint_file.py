"""Checkpoints in a folder: the newest, and one of each hour.

Each log has two files. `<log>.checkpoint` is replaced with each checkpoint. `<log>.history` gains
a checkpoint an hour, and is only appended to.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from audit_log.errors import SealError, SealFormatError
from audit_log.process.durability import sync_folder
from audit_log.seal.checkpoint import Checkpoint
from audit_log.seal.note import Note

HISTORY_SECONDS: Final = 3600
_MODE: Final = 0o644


class ContradictedError(SealError):
    """The folder has a checkpoint of a larger log, or another one of this size."""


def keep_in(folder: Path, checkpoint: Checkpoint, note: Note, now: float) -> Path:
    """Write *checkpoint*, signed as *note*, to disk at *now*, in Unix seconds; return its file.

    Raise OSError, or ContradictedError when the folder has a checkpoint that contradicts it.
    """
    file = folder / f"{file_name(checkpoint.origin)}.checkpoint"
    _check_growth(file, checkpoint)
    text = str(note)
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
        raise ContradictedError(
            f"{file} has a checkpoint of {kept.size} leaves, and the log now has {offered.size}: "
            "what it grows from was brought back to an older state"
        )
    if kept.size == offered.size and kept.root != offered.root:
        raise ContradictedError(f"{file} has another checkpoint of {kept.size} leaves: a fork")


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
