"""Programs of Debian that these tests run, and clean Debian roots."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.neighbours.program import CHECKOUT


def need(*programs: str) -> None:
    """Fail with what to install when one of *programs* is not on this machine."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)}. See docs/deploy.md, section Checks")


def run(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a program to its end; return its output, or fail with all that it said."""
    done = subprocess.run(words, cwd=cwd, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}"
    return done.stdout


def debian_root(directory: Path, *packages: str) -> None:
    """Make a minimal Debian with Python and *packages* in *directory*."""
    wanted = ",".join(("python3", "python3-venv", "python3-pip", *packages))
    run("debootstrap", "--variant=minbase", f"--include={wanted}", "bookworm", directory)


def fetched_wheels(directory: Path) -> Path:
    """Fetch what the services and their wheel need, with this machine's own pip.

    Return *directory*.
    """
    for lock in ("runtime.lock", "build.lock"):
        run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary=:all:", "--requirement", CHECKOUT / "requirements" / lock),
            *("--python-version", "3.11", "--dest", directory),  # bookworm's
        )
    return directory
