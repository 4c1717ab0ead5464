"""TLS: contexts made of files, and in one line what is wrong with a file."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from audit_log.process.background import in_background
from audit_log.process.disk_thread import DiskThread

LOOK_SECONDS: Final = 1.0
"""How often a listener's files are looked at."""
KEPT: Final = "the new TLS certificate cannot be used, the one before it is kept: see the log"
log = structlog.get_logger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class TlsFilesError(ValueError):
    """A file cannot be read or does not hold what it should. The message says which and why."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate, with those that lead to its authority, and its key: PEM files."""

    certificate: Path
    key: Path
    password: str = field(default="", repr=False)

    @property
    def stamp(self) -> Stamp:
        """Return what changes when a file does, also when it is a link that leads elsewhere."""
        try:
            found = [path.stat() for path in (self.certificate, self.key)]
        except OSError:
            return ()
        return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)


def key_pair(certificate: Path | None, key: Path | None, prefix: str) -> KeyPair | None:
    """Return the pair that two settings name; None if neither is set.

    *prefix* is that of their names. Raises TlsFilesError if one is set without the other.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise TlsFilesError(f"{prefix}CERTIFICATE_FILE and {prefix}KEY_FILE belong together")
    return KeyPair(certificate, key)


def server_context(pair: KeyPair) -> ssl.SSLContext:
    """Return what a listener with *pair* needs. Raises TlsFilesError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    _load(context, pair)
    return context


def client_context(authorities: Path | None, pair: KeyPair | None) -> ssl.SSLContext:
    """Return what verifies a server: by the *authorities* in a file, or else the system's.

    *pair* is shown to servers that ask who we are. Raises TlsFilesError.
    """
    if authorities is not None:
        _read(authorities)
    try:
        context = ssl.create_default_context(cafile=authorities)
    except ssl.SSLError:
        raise TlsFilesError(f"{authorities} holds no certificate in PEM") from None
    except OSError as error:
        raise _unreadable(authorities, error) from None
    if pair is not None:
        _load(context, pair)
    return context


class ListenerTls:
    """What a listener needs, of files that may change: new connections meet the new ones."""

    def __init__(self, pair: KeyPair) -> None:
        """Raises TlsFilesError."""
        self._pair = pair
        self._stamp = pair.stamp
        self._current = server_context(pair)
        self.context: Final = server_context(pair)
        self.problem: str | None = None
        """Why what is shown is not what the files hold, or None. Names no file."""
        # A context that is in use is never changed: half of a new pair would break it. This is
        # called for every handshake, also when the client names no server.
        self.context.sni_callback = self._choose

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Take up the files whenever they change. Bad ones leave all as it is."""
        # The files may lie on a volume that hangs.
        thread = DiskThread("tls-files")
        try:
            async with in_background(self._follow(thread), "tls-files", self._note_end):
                yield
        finally:
            thread.end()

    async def _follow(self, thread: DiskThread) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await thread.submit(self._look)

    def _note_end(self, error: BaseException | None) -> None:
        self.problem = "the files of the TLS certificate are no longer looked at: see the log"
        log.critical("tls.files_not_followed", error=repr(error))

    def _look(self) -> None:
        if (stamp := self._pair.stamp) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._current = server_context(self._pair)
        except TlsFilesError as error:
            self.problem = KEPT
            log.error("tls.certificate_kept", reason=str(error))
        else:
            self.problem = None
            log.info("tls.certificate_replaced", file=str(self._pair.certificate))

    def _choose(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _: ssl.SSLContext
    ) -> None:
        connection.context = self._current


def _load(context: ssl.SSLContext, pair: KeyPair) -> None:
    if "-----BEGIN CERTIFICATE-----" not in _read(pair.certificate):
        raise TlsFilesError(f"{pair.certificate} holds no certificate in PEM")
    if "PRIVATE KEY-----" not in _read(pair.key):
        raise TlsFilesError(f"{pair.key} holds no private key in PEM")
    try:
        # Without the password OpenSSL would ask a terminal for it.
        context.load_cert_chain(pair.certificate, pair.key, password=pair.password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFilesError(f"{pair.key} is not the key of {pair.certificate}") from None
        reason = (error.reason or "not PEM").replace("_", " ").lower()
        raise TlsFilesError(
            f"{pair.certificate} and {pair.key} cannot be used: {reason} (a key must not be"
            " encrypted)"
        ) from None
    except OSError as error:
        # Read a moment ago, and gone since: it is being replaced.
        raise TlsFilesError(
            f"{pair.certificate} and {pair.key} cannot be read: {error.strerror}"
        ) from None


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path | None, error: OSError) -> TlsFilesError:
    return TlsFilesError(f"{file or 'the system certificates'} cannot be read: {error.strerror}")
