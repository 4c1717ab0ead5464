"""Programs of Debian that these tests run, and a clean Debian root."""

import shutil
import subprocess
from pathlib import Path

import pytest


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


def debian_root(directory: Path) -> None:
    """Make a minimal Debian with Python in *directory*."""
    packages = "python3,python3-venv,python3-pip"
    run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", directory)
