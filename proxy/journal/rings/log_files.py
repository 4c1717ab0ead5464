"""The files of the log of the seal: a mapped one beside the ring, and its copy in the folder."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from msgspec.structs import replace

from audit_log.process.sealing.key_file import SealKey, SealKeyError, read_or_make_key
from audit_log.seal.growing.state import State
from audit_log.seal.places import Sealing
from proxy.journal.folder import JournalFolder
from proxy.journal.journal_error import JournalError, RingDamagedError
from proxy.journal.mapped import MappedFile, or_closed
from proxy.journal.ring import Ring
from proxy.journal.rings.placement import ring_names
from proxy.seal.copies import SPACE_BYTES, DiskCopies, MemoryCopies
from proxy.seal.kept import KeptLog, found

STATE_NAME: Final = "seal.state"
_SUFFIX: Final = ".seal"
_ADVICE: Final = "a new log begins: docs/seal.md"
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenLog:
    """The log of a journal that is sealed, and its file in memory."""

    kept: KeptLog
    file: MappedFile


class LastLog:
    """What the last run in a folder has left of its log."""

    def __init__(self, folder: JournalFolder, directories: Iterable[Path]) -> None:
        """Look in *folder*, and in *directories*, where rings lie."""
        self._disk = DiskCopies(folder.path / STATE_NAME)
        folder_id = folder.marks.folder_id()
        # A ring may have the second of its names, and then so has the file beside it.
        stem = Path(ring_names(folder_id, 0)[0]).stem if folder_id else ""
        self._files = [
            path
            for directory in directories
            for path in (directory.glob(f"{stem}*{_SUFFIX}") if stem else ())
        ]
        self.found = found(self._disk, _contents(self._files))

    def opened(self, ring: Ring, instance: str, key_file: Path) -> OpenLog:
        """Return the log, which goes on beside *ring*, or a new one.

        Raise JournalError when there is no memory.
        """
        was_sealed = ring.sealed_log
        key, number = _key(key_file), ring.opened_number
        state = self._state(key, was_sealed)
        if state is None:
            # Lines that are there already may be stored without a place.
            first_line = ring.next_number()
            left_lines = first_line - max(ring.committed_number, 1)
            public = b"" if key is None else key.public
            state = State.begun(instance, public, first_line, left_lines)
        else:
            state = self.found.lasting(state, number, is_sealed=was_sealed == state.sealing.log)
        if key is not None:
            following = b"" if key.following is None else key.following.public
            state = replace(state, following=following)
        file = _mapped(ring.path)
        kept = KeptLog(state, MemoryCopies(file.regions[0]), self._disk, key, key_file)
        kept.put(state)
        self.remove(but=file.path)
        ring.sealed_log = state.sealing.log
        with suppress(OSError):  # the mover tries again
            kept.save(ring.next_number())
        kept.put(kept.state)  # what is reserved now: the recorder goes on from here
        return OpenLog(kept, file)

    def _state(self, key: SealKey | None, was_sealed: int | None) -> State | None:
        """Return the state to go on with, or None for a new log; say so when one has ended."""
        state = self.found.state
        if state is None:
            if was_sealed is not None:
                log.error("seal.state_lost", log=was_sealed, advice=_ADVICE)
            return None
        if key is None or state.key in {b"", key.public}:
            return state
        if state.following != key.public:
            log.error("seal.key_changed", origin=state.origin, advice=_ADVICE)
            return None
        log.info("seal.key_followed", origin=state.origin)
        return replace(state, key=key.public)

    def remove(self, but: Path | None = None) -> None:
        """Remove the files in memory *but* one."""
        for path in self._files:
            if path != but:
                with suppress(OSError):
                    path.unlink()


def sealing_of(folder: Path) -> Sealing | None:
    """Return the log in which the lines of the journal in *folder* have their places, or None."""
    state = State.read(DiskCopies(folder / STATE_NAME).read())
    return None if state is None else state.sealing


def _contents(paths: Iterable[Path]) -> Iterator[bytes]:
    """Yield what the copies in *paths* hold; files of other users are left out."""
    for path in paths:
        with suppress(OSError, RingDamagedError):
            file = MappedFile.open(path)
            try:
                if file.size == SPACE_BYTES:
                    yield MemoryCopies(file.map(0, SPACE_BYTES)).value
            finally:
                file.close()


def _mapped(ring: Path | None) -> MappedFile:
    """Return the file beside *ring*, that of the last run if it is there.

    Without any room it has no name. Raise JournalError if there is no memory either.
    """
    if ring is not None:
        path = ring.with_suffix(_SUFFIX)
        try:
            return _at(path)
        except (OSError, RingDamagedError) as error:
            log.warning("seal.state_not_placed", path=str(path), error=str(error))
    try:
        return _filled(MappedFile.nameless())
    except OSError as error:
        raise JournalError(f"no room for the state of the seal: {error}") from error


def _at(path: Path) -> MappedFile:
    with suppress(FileNotFoundError):
        file = MappedFile.open(path)
        if file.size == SPACE_BYTES:
            return _filled(file)
        file.remove()
        file.close()
    return _filled(MappedFile.create(path))


def _filled(file: MappedFile) -> MappedFile:
    with or_closed(file):
        file.map(0, SPACE_BYTES)
        return file


def _key(path: Path) -> SealKey | None:
    try:
        return read_or_make_key(path)
    except SealKeyError as error:
        log.error("seal.key_missing", reason=str(error))
        return None
