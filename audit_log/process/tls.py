"""TLS contexts made from files. Errors say in one line what is wrong with which file."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from audit_log.process.background import BackgroundTasks
from audit_log.process.disk_thread import DiskThread

LOOK_SECONDS: Final = 1.0
"""How often a listener's files are checked for changes."""
KEPT: Final = "the new TLS certificate cannot be used, the one before it is kept: see the log"
log = structlog.get_logger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class TlsFilesError(ValueError):
    """A file cannot be read or has the wrong content. The message says which and why."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its intermediate certificates, and its key: PEM files."""

    certificate: Path
    key: Path
    password: str = field(default="", repr=False)
    setting: str = ""
    """What the names of their two settings begin with; empty if a URL names them."""

    @property
    def stamp(self) -> Stamp:
        """Return a value that changes when a file or the target of a link to it changes."""
        try:
            found = [path.stat() for path in (self.certificate, self.key)]
        except OSError:
            return ()
        return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)


def key_pair(certificate: Path | None, key: Path | None, prefix: str) -> KeyPair | None:
    """Return the pair that two settings name; None if neither is set.

    *prefix* is the beginning of their names. Raises TlsFilesError if one is set without the other.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise TlsFilesError(f"{prefix}CERTIFICATE_FILE and {prefix}KEY_FILE belong together")
    return KeyPair(certificate, key, setting=prefix)


def server_context(pair: KeyPair) -> ssl.SSLContext:
    """Return the context of a listener with *pair*. Raises TlsFilesError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    _load(context, pair)
    return context


def client_context(
    authorities: Path | None, pair: KeyPair | None, setting: str = ""
) -> ssl.SSLContext:
    """Return a context that verifies servers by the *authorities* in a file, or by the system's.

    *setting* is the variable that names the file, for errors. *pair* is shown to servers
    that ask for a client certificate. Raises TlsFilesError.
    """
    place = f"{setting}: " if setting else ""
    if authorities is not None:
        _read(authorities, place)
    try:
        context = ssl.create_default_context(cafile=authorities)
    except ssl.SSLError:
        raise TlsFilesError(f"{place}{authorities} holds no certificate in PEM") from None
    except OSError as error:
        raise _unreadable(authorities, error, place) from None
    if pair is not None:
        _load(context, pair)
    return context


class ListenerTls:
    """A listener's certificate, from files that may change: new connections get the new one."""

    def __init__(self, pair: KeyPair) -> None:
        """Raises TlsFilesError."""
        self._pair = pair
        self._stamp = pair.stamp
        self._current = server_context(pair)
        self.context: Final = server_context(pair)
        self.problem: str | None = None
        """Why the certificate in use is not the one in the files, or None. Names no file."""
        # A context in use is never changed: half of a new pair would break it. Instead OpenSSL
        # calls this for every handshake, also if the client sends no server name.
        self.context.sni_callback = self._choose

    @asynccontextmanager
    async def following(self, tasks: BackgroundTasks) -> AsyncIterator[None]:
        """Load the files whenever they change, as one of *tasks*.

        Files that cannot be used change nothing.
        """
        # The files may be on a volume that hangs.
        thread = DiskThread("tls-files")
        try:
            async with tasks.running(partial(self._follow, thread), "tls-files"):
                yield
        finally:
            thread.end()

    async def _follow(self, thread: DiskThread) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await thread.submit(self._look)

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
    certificate = f"{pair.setting}CERTIFICATE_FILE: " if pair.setting else ""
    key = f"{pair.setting}KEY_FILE: " if pair.setting else ""
    if "-----BEGIN CERTIFICATE-----" not in _read(pair.certificate, certificate):
        raise TlsFilesError(f"{certificate}{pair.certificate} holds no certificate in PEM")
    if "PRIVATE KEY-----" not in _read(pair.key, key):
        raise TlsFilesError(f"{key}{pair.key} holds no private key in PEM")
    try:
        # Without a password argument OpenSSL would prompt for it on the terminal.
        context.load_cert_chain(pair.certificate, pair.key, password=pair.password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFilesError(f"{key}{pair.key} is not the key of {pair.certificate}") from None
        reason = (error.reason or "not PEM").replace("_", " ").lower()
        raise TlsFilesError(
            f"{certificate}{pair.certificate} and {pair.key} cannot be used: {reason}"
            " (a key must not be encrypted)"
        ) from None
    except OSError as error:
        # Read a moment ago, and gone now: it is being replaced.
        raise TlsFilesError(
            f"{certificate}{pair.certificate} and {pair.key} cannot be read: {error.strerror}"
        ) from None


def _read(file: Path, place: str) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError as error:
        raise _unreadable(file, error, place) from None


def _unreadable(file: Path | None, error: OSError, place: str) -> TlsFilesError:
    return TlsFilesError(
        f"{place}{file or 'the system certificates'} cannot be read: {error.strerror}"
    )
