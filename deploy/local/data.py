"""The data directory: one run at a time, and none beside what a killed run left running."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.local.errors import CannotRunError

_LEFTOVER_SECONDS: Final = 45
"""How long the services of a killed run may take to notice and to end."""


class DataDirectory:
    """What is kept between two runs, and where."""

    def __init__(self, path: Path, services_lock: int) -> None:
        self.path = path
        self.services_lock = services_lock
        """File descriptor to be inherited by every service: locked for as long as one lives."""

    @property
    def postgres(self) -> Path:
        """PostgreSQL's own directory."""
        return self.path / "postgres"

    @property
    def journal(self) -> Path:
        """Where the sidecar's records wait."""
        return self.path / "journal"

    @property
    def tokens(self) -> Path:
        """The secrets of the demo tokens."""
        return self.path / "demo_tokens.json"

    def log(self, service: str) -> Path:
        """Return where everything that *service* says is kept."""
        return self.path / "logs" / f"{service}.log"


@contextmanager
def open_data(path: Path) -> Iterator[DataDirectory]:
    """Create *path* if need be and keep every other run out of it.

    Services of a killed run are waited for: they end by themselves. Raises CannotRunError when
    the directory cannot be written or is in use.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        (path / "logs").mkdir(exist_ok=True)
        run_lock = _open_lock(path / "run.lock")
        services_lock = _open_lock(path / "services.lock")
    except OSError as error:
        raise CannotRunError(
            f"the data directory {path} cannot be written: {error.strerror}"
        ) from None
    try:
        if not _lock(run_lock):
            raise CannotRunError(f"another run is using the data directory {path}")
        _wait_for_leftovers(services_lock)
        yield DataDirectory(path, services_lock)
    finally:
        os.close(services_lock)
        os.close(run_lock)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_leftovers(services_lock: int) -> None:
    """Wait until the services of a killed run have let go of their lock."""
    if _lock(services_lock):
        return
    print("An earlier run was killed; waiting for its services to end.", flush=True)
    deadline = time.monotonic() + _LEFTOVER_SECONDS
    while not _lock(services_lock):
        if time.monotonic() > deadline:
            raise CannotRunError("services of an earlier run are still there and do not end")
        time.sleep(0.1)
