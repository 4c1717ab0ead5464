"""What earlier runs of an embedded PostgreSQL left: its lock, its processes, its last words."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.local.postgres_home import RUNTIME_PREFIX, PostgresServerError

STOP_SECONDS: Final = 30
FAST_SHUTDOWN: Final = 2  # SIGINT: disconnect all clients, write everything, end
_POLL_SECONDS: Final = 0.01


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Make *directory* if need be, and hold its lock."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise PostgresServerError(f"{directory} cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PostgresServerError(f"{directory} is in use by another process") from error
        yield


def end_stale_postmaster(cluster: Path, runtime: Path) -> None:
    """End a server that outlived its launcher. We hold the lock, so no launcher uses it."""
    lines = postmaster_lines(cluster)
    command = _command_of(lines[0]) if lines else ""
    if not command:
        return  # PostgreSQL itself recovers from a dead one's file
    if not runtime.is_symlink() or str(runtime.readlink()) not in command:
        # The number belongs to a stranger by now, and PostgreSQL would give way to it. It takes
        # its parent's number for stale; the rest of the file leads it to orphaned children.
        (cluster / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
        return
    os.kill(int(lines[0]), FAST_SHUTDOWN)
    if not eventually(lambda: not _command_of(lines[0]), time.monotonic() + STOP_SECONDS):
        raise PostgresServerError(
            f"PostgreSQL of an earlier run (process {lines[0]}) does not end"
        )


def _command_of(pid: str) -> str:
    """Return the command line of a living process, or nothing."""
    # Not its working directory, which says more: reading that takes the right to ptrace.
    try:
        return Path("/proc", pid, "cmdline").read_text(errors="replace")
    except OSError:
        return ""


def postmaster_lines(cluster: Path) -> list[str]:
    """Return what a postmaster says of itself: process id first, its status last."""
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def remove_runtime(directory: Path) -> None:
    """Remove the temporary directory of the last run, if it is still there."""
    link = directory / "runtime"
    if link.is_symlink():
        # Only a directory with our prefix: another program may have made the link.
        if link.readlink().name.startswith(RUNTIME_PREFIX):
            shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()


def eventually(condition: Callable[[], bool], deadline: float) -> bool:
    """Wait until *condition* holds, not beyond *deadline*; say whether it does."""
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def complaint_in(log: str) -> str:
    """Return why PostgreSQL gave up, in one line, from what it said."""
    wanted = re.compile(r"(?:FATAL|PANIC|ERROR|DETAIL|initdb: error):\s+(.*)|(could not bind .*)")
    found = [match[1] or match[2] for match in map(wanted.search, log.splitlines()) if match]
    return "; ".join(found) or "it did not say why"
