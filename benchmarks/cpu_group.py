"""A group of processes that gets a core only when no other process wants it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from benchmarks.process import family

_CONTROLLER: Final = Path("/sys/fs/cgroup/cpu")
_UNIFIED: Final = Path("/sys/fs/cgroup")


class CpuGroup:
    """A control group of the kernel's, at idle priority (cgroups(7), `cpu.idle`).

    Not by niceness: where the kernel groups by session (sched(7), *autogroup*) that counts within
    a session only, and each backend of PostgreSQL begins one.
    """

    def __init__(self, folder: Path) -> None:
        """Be the group that *folder* stands for."""
        self._folder = folder

    def take(self, pid: int) -> None:
        """Take *pid* in, with its descendants, those to come as well."""
        taken: set[int] = set()
        while missing := set(family(pid)) - taken:  # some may be born meanwhile
            for member in missing:
                with suppress(ProcessLookupError):
                    (self._folder / "cgroup.procs").write_text(str(member))
            taken |= missing


@contextmanager
def idle_group() -> Iterator[CpuGroup]:
    """Yield a new group. Its processes must have ended by the end of the block."""
    folder = _root() / f"benchmark-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / "cpu.idle").write_text("1")
        yield CpuGroup(folder)
    finally:
        folder.rmdir()


def _root() -> Path:
    if _CONTROLLER.is_dir():  # version 1
        return _CONTROLLER
    (_UNIFIED / "cgroup.subtree_control").write_text("+cpu")
    return _UNIFIED
