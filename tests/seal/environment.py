"""Tools that we did not write: aics-tlog, metamorphic-log, Go's sumdb. Kept for the next run."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_HERE: Final = Path(__file__).parent
_LOCK: Final = _HERE / "verifiers.lock"
_VERIFIERS: Final = _HERE / "verifiers"
_CACHE: Final = _HERE / ".cache"
_GO_PACKAGES: Final = Path("/usr/share/gocode")
_IS_NEW: Final = "import sys; sys.exit(sys.version_info < (3, 12))"


def python_verifier(name: str) -> list[str]:
    """Return the command that runs a verifier in Python, with what it needs from PyPI."""
    python = _CACHE / "python" / "bin" / "python"
    complete = _CACHE / "python.complete"
    wanted = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    if not complete.exists() or complete.read_text() != wanted:
        _CACHE.mkdir(exist_ok=True)
        _run(_new_python(), "-m", "venv", "--clear", str(python.parents[1]))
        quiet = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
        _run(str(python), "-m", "pip", "install", *quiet, "--requirement", str(_LOCK))
        complete.write_text(wanted)
    return [str(python), str(_VERIFIERS / f"{name}.py")]


def go_verifier(name: str) -> list[str]:
    """Return the command that runs a verifier in Go, built from Debian's packages."""
    go = shutil.which("go")
    if go is None or not (_GO_PACKAGES / "src/golang.org/x/mod/sumdb").is_dir():
        pytest.skip("needs Debian's golang-go and golang-golang-x-mod-dev")
    _CACHE.mkdir(exist_ok=True)
    built, source = _CACHE / name, _VERIFIERS / f"{name}.go"
    # Without modules: nothing is fetched.
    where = {"GO111MODULE": "off", "GOPATH": str(_GO_PACKAGES), "GOCACHE": str(_CACHE / "go")}
    _run(go, "build", "-o", str(built), str(source), **where)
    return [str(built)]


def _new_python() -> str:
    """Return a Python that aics-tlog runs on: 3.12 or later."""
    for python in _pythons():
        if (
            subprocess.run([python, "-c", _IS_NEW], capture_output=True, check=False).returncode
            == 0
        ):
            return python
    pytest.skip("needs Python 3.12 or later beside the tests' own")


def _pythons() -> Iterator[str]:
    yield sys.executable
    yield from filter(None, (shutil.which(f"python3.{minor}") for minor in (14, 13, 12)))
    yield from map(str, sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"), reverse=True))


def _run(*command: str, **variables: str) -> None:
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | variables
    )
    assert ran.returncode == 0, f"{' '.join(command)}:\n{ran.stdout}{ran.stderr}"
