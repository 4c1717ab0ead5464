"""The file of the key that signs checkpoints: PKCS #8 in PEM, as `openssl genpkey` writes it."""

import os
from base64 import b64decode, b64encode
from binascii import Error
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

import structlog
from nacl.signing import SigningKey

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

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self.public = bytes(SigningKey(seed).verify_key)

    def named(self, origin: str) -> SignerKey:
        """Return the key as that of the log *origin*."""
        return SignerKey(origin, NOTE, self._seed)


def _read(path: Path) -> SealKey:
    # Not blocking: a file of this name may be a pipe.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        text = os.read(file, _MAX_BYTES).strip()
    finally:
        os.close(file)
    with suppress(Error):
        raw = b64decode(text.removeprefix(_BEGIN).removesuffix(_END))
        if text.startswith(_BEGIN) and raw.startswith(_PREFIX):
            seed = raw.removeprefix(_PREFIX)
            if len(seed) == ED25519_BYTES:
                return SealKey(seed)
    raise SealKeyError(
        f"{path} holds no key of Ed25519: make one with `openssl genpkey -algorithm ed25519`"
    )


def _make(path: Path) -> None:
    """Make the key, unless another process has made it at the same moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = b"%s\n%s\n%s\n" % (_BEGIN, b64encode(_PREFIX + bytes(SigningKey.generate())), _END)
    beside = path.with_name(f"{path.name}.{token_hex(4)}")
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, text)
        os.fsync(file)
    finally:
        os.close(file)
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return
    finally:
        beside.unlink()
    _sync(path.parent)
    log.warning("seal.key_made", path=str(path), advice="keep a copy: docs/seal.md")


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
