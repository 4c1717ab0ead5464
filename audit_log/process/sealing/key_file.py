"""The file of the key that signs checkpoints: PKCS #8 in PEM, as `openssl genpkey` writes it.

While the key is changed the file holds two: that of the log, and the one that follows it. Both
sign then, so that witnesses and verifiers that know only one of them go on.
"""

import os
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

import structlog
from nacl.signing import SigningKey

from audit_log.process.durability import sync_folder
from audit_log.seal.keys import ED25519_BYTES, NOTE, SignerKey

KEY_NAME: Final = "seal.key"
_MAX_BYTES: Final = 4_096
# RFC 8410 section 7: a private key of Ed25519 has this form, and no other.
_PREFIX: Final = bytes.fromhex("302e020100300506032b657004220420")
_BEGIN, _END = b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----"
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class SealKeyError(Exception):
    """The key cannot be read or made. The message is one readable line, without the key."""


def read_or_make_key(path: Path) -> "SealKey":
    """Return the key in the file *path*; make it if there is none. Raise SealKeyError."""
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            _make(path)
            return _read(path)
    except OSError as error:
        raise SealKeyError(
            f"{path}: the key of the seal cannot be read: {error.strerror}"
        ) from error


class SealKey:
    """The key of a sidecar. In each log it goes by the name of that log."""

    def __init__(self, seed: bytes, following: bytes | None = None) -> None:
        self.seed = seed
        """What the secret key is made from."""
        self.public = bytes(SigningKey(seed).verify_key)
        self.following = None if following is None else SealKey(following)
        """The key that will sign alone when the change is finished."""

    def signers(self, origin: str) -> Sequence[SignerKey]:
        """Return the keys that sign for the log *origin*."""
        own = self.named(origin)
        return [own] if self.following is None else [own, self.following.named(origin)]

    def named(self, origin: str) -> SignerKey:
        """Return the key as that of the log *origin*."""
        return SignerKey(origin, NOTE, self.seed)


def _read(path: Path) -> SealKey:
    # Not blocking: a file of this name may be a pipe.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        text = os.read(file, _MAX_BYTES).strip()
    finally:
        os.close(file)
    parts = text.split(_BEGIN)
    seeds = [_seed_in(part) for part in parts[1:]]
    match seeds:
        case [bytes(seed)] if not parts[0]:
            return SealKey(seed)
        case [bytes(seed), bytes(following)] if not parts[0] and seed != following:
            return SealKey(seed, following)
    raise SealKeyError(
        f"{path} holds no key of Ed25519: make one with `openssl genpkey -algorithm ed25519`"
    )


def _seed_in(part: bytes) -> bytes | None:
    """Return the secret in what is behind the beginning of a PEM text; None if it is no key."""
    with suppress(Error):
        raw = b64decode(part.strip().removesuffix(_END))
        if raw.startswith(_PREFIX) and len(raw) == len(_PREFIX) + ED25519_BYTES:
            return raw.removeprefix(_PREFIX)
    return None


def begin_change(path: Path) -> None:
    """Put a second key into the file *path*. Raise SealKeyError."""
    if _opened(path).following is not None:
        raise SealKeyError(f"{path} holds two keys already: its change is not finished")
    _replace(path, path.read_bytes().rstrip() + b"\n" + _pem(bytes(SigningKey.generate())))


def finish_change(path: Path) -> None:
    """Leave only the second key in the file *path*. Raise SealKeyError."""
    following = _opened(path).following
    if following is None:
        raise SealKeyError(f"{path} holds one key: no change of it has begun")
    _replace(path, _pem(following.seed))


def _opened(path: Path) -> SealKey:
    try:
        return _read(path)
    except OSError as error:
        raise SealKeyError(
            f"{path}: the key of the seal cannot be read: {error.strerror}"
        ) from error


def _pem(seed: bytes) -> bytes:
    return b"%s\n%s\n%s\n" % (_BEGIN, b64encode(_PREFIX + seed), _END)


def _replace(path: Path, text: bytes) -> None:
    try:
        beside = _written_beside(path, text)
        owner = path.stat()
        os.chown(beside, owner.st_uid, owner.st_gid)
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise SealKeyError(
            f"{path}: the key of the seal cannot be written: {error.strerror}"
        ) from error


def _written_beside(path: Path, text: bytes) -> Path:
    beside = path.with_name(f"{path.name}.{token_hex(4)}")
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, text)
        os.fsync(file)
    finally:
        os.close(file)
    return beside


def _make(path: Path) -> None:
    """Make the key, unless another process has made it at the same moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = _written_beside(path, _pem(bytes(SigningKey.generate())))
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return
    finally:
        beside.unlink()
    sync_folder(path.parent)
    log.warning("seal.key_made", path=str(path), advice="keep a copy: docs/seal.md")
