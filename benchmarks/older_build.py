"""An older build, taken from the repository's history, to be measured beside this one."""

import subprocess
from pathlib import Path
from typing import Final

from benchmarks.process import CHECKOUT

OLD: Final = "b1612d3"
THIS: Final = "this build"


def checked_out(revision: str, place: Path) -> Path:
    """Put the packages of *revision* into *place*, and return it."""
    packages = ("audit_log", "proxy")
    archive = subprocess.run(
        ["git", "archive", revision, *packages], cwd=CHECKOUT, check=True, stdout=subprocess.PIPE
    )
    place.mkdir()
    # Not by tarfile: Python 3.11.2 (Debian 12) knows no filters, and later ones want one.
    subprocess.run(["tar", "--extract", "--directory", place], input=archive.stdout, check=True)
    return place
