"""Archives, unpacked by `tar`.

`tarfile` warns without a filter from Python 3.12 on, and Python 3.11.2, which Debian 12 has, knows
no filters.
"""

import subprocess
from pathlib import Path


def unpacked(archive: bytes, place: Path) -> Path:
    """Unpack *archive*, a tar file that is not compressed, in *place*, and return it."""
    place.mkdir(exist_ok=True)
    subprocess.run(["tar", "--extract", "--directory", place], input=archive, check=True)
    return place
