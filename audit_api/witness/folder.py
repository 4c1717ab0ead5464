"""The witness's folder: its key, and the last checkpoint that it has signed of each log.

What is written here survives a kill and a power cut: it is written beside its place, brought to
disk and then moved there. One process at a time uses the folder, which a lock sees to.
"""

import fcntl
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final

from audit_log.errors import SealFormatError
from audit_log.process.durability import sync_folder
from audit_log.seal.keys import COSIGNATURE, SignerKey, VerifierKey
from audit_log.seal.note import Note

_KEY: Final = "witness.key"
_LOCK: Final = "lock"
_NEW: Final = ".new"
_NAME: Final = "podwarden-audit-witness"


class WitnessFolderError(Exception):
    """The folder cannot be used. The message says why, and what to do."""


class WitnessFolder:
    """The folder at *path*, which is made if it is missing. All methods wait for the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None
        self._key: SignerKey | None = None

    def open(self) -> SignerKey:
        """Take the folder for this process; return the witness's key, made at the first start.

        Does nothing if it is taken already. Raise WitnessFolderError if another process has it, or
        if it holds no key where one was; OSError if it cannot be used.
        """
        if self._key is None:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take()
            self._key = self._read_key()
        return self._key

    def close(self) -> None:
        """Let another process have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = self._key = None

    def last(self, origin: str) -> Note | None:
        """Return the last checkpoint that was signed of a log, None if there is none.

        Raise OSError, or SealFormatError if the file was damaged.
        """
        return self.by_hash(hash_of(origin))

    def by_hash(self, origin_hash: str) -> Note | None:
        """Return the same by the hash of the log's origin."""
        try:
            return Note.parse(self._file(origin_hash).read_bytes())
        except FileNotFoundError:
            return None

    def keep(self, origin: str, note: Note) -> None:
        """Bring the last checkpoint of a log to disk; raise OSError."""
        self._write(self._file(hash_of(origin)), str(note), 0o644)

    def _take(self) -> None:
        if self._lock is not None:
            return
        lock = os.open(self._path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise WitnessFolderError(
                f"another process is the witness of {self._path}: two would sign twice"
            ) from None
        self._lock = lock

    def _read_key(self) -> SignerKey:
        file = self._path / _KEY
        try:
            key = SignerKey.parse(file.read_text().strip())
        except FileNotFoundError:
            return self._new_key(file)
        except (SealFormatError, UnicodeDecodeError) as error:
            raise WitnessFolderError(f"{file} holds no key of a witness: {error}") from None
        if key.verifier.type != COSIGNATURE:
            raise WitnessFolderError(f"{file} holds the key of a log and not of a witness")
        return key

    def _new_key(self, file: Path) -> SignerKey:
        if any(self._path.glob("*.checkpoint")):
            raise WitnessFolderError(
                f"{file} is gone, and the witness has signed before: bring it back, or empty "
                f"{self._path} to begin as another witness"
            )
        key = SignerKey.new(f"{_NAME}/{secrets.token_hex(8)}", COSIGNATURE)
        self._write(file, f"{key.skey}\n", 0o600)
        return key

    def _file(self, origin_hash: str) -> Path:
        return self._path / f"{origin_hash}.checkpoint"

    def _write(self, file: Path, text: str, mode: int) -> None:
        new = file.with_name(file.name + _NEW)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, mode), "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        new.replace(file)
        sync_folder(self._path)


def witness_key(folder: Path) -> VerifierKey:
    """Return the public key of the witness of *folder*, which may be in use.

    Raise WitnessFolderError if it has none yet, or if it cannot be read.
    """
    file = folder / _KEY
    try:
        return SignerKey.parse(file.read_text().strip()).verifier
    except FileNotFoundError:
        raise WitnessFolderError(f"{file} is not there: start the audit API first") from None
    except OSError as error:
        raise WitnessFolderError(f"{file} cannot be read: {error.strerror}") from None
    except (SealFormatError, UnicodeDecodeError) as error:
        raise WitnessFolderError(f"{file} holds no key of a witness: {error}") from None


def hash_of(origin: str) -> str:
    """Return the SHA-256 of a log's origin in hex: what the witness calls it in addresses."""
    return sha256(origin.encode()).hexdigest()
