"""The limit of open files, of which each connection takes one."""

import resource
from contextlib import suppress
from typing import Final

RESERVED: Final = 128
"""Files for all but connections of strangers: journal, databases, ops port, logs."""


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard limit: the soft one is meant for select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # kept as it is where that is forbidden
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def files_for_connections() -> int:
    """Return how many files connections of strangers may take together, by the present limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft - RESERVED, soft // 2)
