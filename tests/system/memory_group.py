"""A group of processes with a limit of memory, as a container has it, and what uses it up."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from tests.neighbours.program import CHECKOUT
from tests.neighbours.services import Service

_VERSION_1: Final = Path("/sys/fs/cgroup/memory")
_VERSION_2: Final = Path("/sys/fs/cgroup")
_ROOM_BYTES: Final = 8 * 2**20
# It takes a little after the other, and is itself never killed for it (proc(5), oom_score_adj).
_BALLOON: Final = """
import os, sys
open("/proc/self/oom_score_adj", "w").write("-1000")
open(sys.argv[2], "w").write(str(os.getpid()))
def kills():
    lines = open(sys.argv[1]).read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
taken, before = [], kills()
print("ready", flush=True)
input()
while kills() == before:
    taken.append(b"1" * 2**17)
"""


class MemoryGroup:
    """A control group of the kernel's (cgroups(7), *memory*), of version 1 or 2."""

    def __init__(self, folder: Path, *, is_version_2: bool) -> None:
        """Be the group that *folder* stands for."""
        self._folder = folder
        self._limit = folder / ("memory.max" if is_version_2 else "memory.limit_in_bytes")
        self._used = folder / ("memory.current" if is_version_2 else "memory.usage_in_bytes")
        self._events = folder / ("memory.events" if is_version_2 else "memory.oom_control")

    @asynccontextmanager
    async def running(self, module: str, environment: dict[str, str]) -> AsyncIterator[Service]:
        """Run *module* with *environment* in the group, from its first byte on."""
        readable, writable = os.pipe()
        join = f"echo $$ > {self._folder}/cgroup.procs; exec {sys.executable} -m {module}"
        with os.fdopen(writable, "wb") as complaints:
            process = await asyncio.create_subprocess_exec(
                *("sh", "-c", join),
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), **environment},
                stdout=subprocess.DEVNULL,
                stderr=complaints,
            )
        service = Service(process, os.fdopen(readable, "rb"))
        try:
            await service.logged("service.started")
            yield service
            assert await service.stop() == 0, service.report()
        finally:
            await service.kill()

    @property
    def kills(self) -> int:
        """How often the kernel has killed a process of the group for want of memory."""
        lines = self._events.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def run_short(self) -> None:
        """Use the memory up until the kernel has killed one process of the group for it."""
        files = (self._events, self._folder / "cgroup.procs")
        command: list[str | Path] = [sys.executable, "-c", _BALLOON, *files]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as balloon:
            assert balloon.stdin is not None
            assert balloon.stdout is not None
            balloon.stdout.readline()
            self._limit.write_text(str(int(self._used.read_text()) + _ROOM_BYTES))
            balloon.stdin.write("\n")
            balloon.stdin.flush()
            assert balloon.wait(60) == 0
        self._limit.write_text(str(2**40))


@contextmanager
def memory_group() -> Iterator[MemoryGroup]:
    """Yield a new group. Its processes must have ended by the end of the block."""
    is_version_2 = not _VERSION_1.is_dir()
    root = _VERSION_2 if is_version_2 else _VERSION_1
    if is_version_2:
        (root / "cgroup.subtree_control").write_text("+memory")
    folder = root / f"podwarden-test-{os.getpid()}"
    folder.mkdir()
    try:
        yield MemoryGroup(folder, is_version_2=is_version_2)
    finally:
        folder.rmdir()
