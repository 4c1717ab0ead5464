"""Stacks of a running sidecar, as py-spy sees them, and where each was."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.environments import installed
from benchmarks.process import CLIENT_CORE

_PER_SECOND: Final = 100
"""More would leave the sidecar, stopped for each, no time to work."""
_SYSTEM_CALL: Final = re.compile(r"^_*(write|writev|read|recv|send|epoll_ctl|getpid) \(")
_OURS: Final = re.compile(r"^(?P<function>\S+) \((?P<file>(?:proxy|audit_log)/\S+?\.py)")
_WAITING: Final = re.compile(
    r"^(epoll_pwait|poll|clock_nanosleep|PyThread_acquire_lock_timed|take_gil) \("
)
_INNERMOST: Final = 4
"""How many frames tell that a thread waits: those inside a lock's have no names."""
_UVLOOP: Final = "(loop.c:"


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames of a thread, outermost first, and how often they were seen so."""

    frames: tuple[str, ...]
    seen: int

    @property
    def function(self) -> str | None:
        """The innermost function of ours, with its file; None where none is."""
        found = self._ours()
        return found and f"{found['file']} {found['function']}"

    @property
    def part(self) -> str:
        """Our file, or what else used the time: C code counts for its caller."""
        called = _SYSTEM_CALL.match(self.frames[-1])
        if called:
            return f"system call `{called[1]}`"
        found = self._ours()
        if found is None:
            return "asyncpg" if any("(asyncpg/" in each for each in self.frames) else "uvloop"
        inside = self.frames[self.frames.index(found.string) :]
        return "uvloop" if any(_UVLOOP in each for each in inside) else f"`{found['file']}`"

    def _ours(self) -> re.Match[str] | None:
        return next(filter(None, map(_OURS.match, reversed(self.frames))), None)


def watcher() -> Path:
    """Return py-spy, installed if need be."""
    return installed("py-spy==0.4.3") / "bin" / "py-spy"


def stacks(program: Path, pid: int, seconds: int, *, every_thread: bool = False) -> list[Stack]:
    """Watch the process *pid* with *program* for *seconds*; return what its event loop was at.

    With *every_thread*, what each of its threads was at.
    Waiting is left out: it cannot be told from having nothing to do.
    """
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(
            [
                *("taskset", "-c", str(CLIENT_CORE), program, "record", "--native", "--threads"),
                *("--format", "raw", "--rate", str(_PER_SECOND), "--duration", str(seconds)),
                *("--pid", str(pid), "--output", file.name),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds + 60,
        )
        return list(_read(Path(file.name), every_thread=every_thread))


def _read(raw: Path, *, every_thread: bool) -> Iterator[Stack]:
    for line in raw.read_text().splitlines():
        frames, _, seen = line.rpartition(" ")
        thread, *inside = frames.split(";")
        waits = any(map(_WAITING.match, inside[-_INNERMOST:]))
        if (every_thread or thread.endswith("MainThread")) and not waits:
            yield Stack(tuple(inside), int(seen))
