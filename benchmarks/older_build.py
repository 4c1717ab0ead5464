"""An older build, taken from the repository's history, to be measured beside this one."""

import subprocess
import tarfile
from io import BytesIO
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
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(place, filter="data")
    return place
