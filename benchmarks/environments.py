"""Virtual environments that hold one program and nothing else. They are kept for the next run."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from benchmarks.process import CHECKOUT

_CACHE: Final = Path(__file__).parent / ".cache"
_LOCK: Final = CHECKOUT / "requirements" / "runtime.lock"
_PYTHON: Final = hashlib.sha256(f"{sys.base_prefix} {sys.version}".encode()).hexdigest()[:8]
"""One kept for another Python is not ours: what runs in it would be measured on that one."""


def installed(requirement: str) -> Path:
    """Return an environment with *requirement* in it, made if need be."""
    return _made(requirement.translate({ord(mark): "-" for mark in "=>"}), requirement)


def as_shipped() -> Path:
    """Return an environment with what our image has, made if need be.

    That of the checkout has what tests need as well, and some of it is loaded where it is found:
    structlog then prints with rich, which takes 8 MiB.
    """
    lock = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]
    return _made(f"runtime-{lock}", "--no-deps", "--require-hashes", "--requirement", str(_LOCK))


def _made(name: str, *what: str) -> Path:
    place = _CACHE / f"{name}-{_PYTHON}"
    if not (place / "complete").exists():
        venv.create(place, clear=True, with_pip=True)
        pip = [str(place / "bin" / "pip"), "install", "--quiet"]
        subprocess.run([*pip, *what], check=True, timeout=600)
        (place / "complete").touch()
    return place
