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
_UNLIMITED: Final = str(2**40)
# A process of the group takes a little after the other. One outside it, which no want of memory
# holds up, lifts the limit as soon as the kernel has killed: what a young recorder has of its own
# is too little to end the want, and the kernel would go on with the proxy.
_BALLOON: Final = """
import contextlib, os, signal, sys
events, members, limit, room, unlimited = sys.argv[1:]
def write(file, text):
    with open(file, "w") as opened:
        opened.write(text)
def kills():
    lines = open(events).read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
before = kills()
waits, go = os.pipe()
balloon = os.fork()
if not balloon:
    with contextlib.suppress(OSError):  # needs CAP_SYS_RESOURCE
        write("/proc/self/oom_score_adj", "-1000")
    os.read(waits, 1)
    taken = []
    while True:
        taken.append(b"1" * 2**17)
write(members, str(balloon))
with contextlib.suppress(OSError):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
write(limit, room)
os.write(go, b"1")
while kills() == before:
    pass
write(limit, unlimited)
os.kill(balloon, signal.SIGKILL)
os.waitpid(balloon, 0)
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
        files = (self._events, self._folder / "cgroup.procs", self._limit)
        room = str(int(self._used.read_text()) + _ROOM_BYTES)
        command: list[str | Path] = [sys.executable, "-c", _BALLOON, *files, room, _UNLIMITED]
        subprocess.run(command, check=True, timeout=60)


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
