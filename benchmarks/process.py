"""Processes: each started on one core, watched, and ended by its id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[1]
CLIENT_CORE: Final = 0
"""Shared by the load, the upstream and PostgreSQL: whatever is not measured."""
PROXY_CORE: Final = 1
BOTH_CORES: Final = "0,1"
START_SECONDS: Final = 30
STOP_SECONDS: Final = 45
_POLL_SECONDS: Final = 0.02
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class CannotStartError(Exception):
    """A process to be measured does not start. The message holds its output."""


class Process:
    """A running process with its descendants."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """*log* receives its output."""
        self._process = process
        self.log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def cpu_seconds(self) -> float:
        """What it has used of a core so far, with its descendants, also those that have ended."""
        return family_seconds(self.pid)

    @property
    def first_thread_cpu_seconds(self) -> float:
        """What its first thread has used of a core so far: where it has one, its event loop."""
        return _used_seconds(Path(f"/proc/{self.pid}/task/{self.pid}"))

    @property
    def memory_bytes(self) -> int:
        """What it takes of the memory now, with its descendants: what they share counts once."""
        return sum(map(_proportional_bytes, family(self.pid)))

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Wait until *is_ready*; raise CannotStartError when it ends first, or never is."""
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CannotStartError(self.log.read_text(errors="replace")[-2_000:])
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    core: int | str,
    directory: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Run *command* on *core* alone, in *directory*; its output goes to `log` there.

    Several cores are named as `taskset` has it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "log"
    with log.open("wb") as words:
        child = subprocess.Popen(
            # Should we be killed, the kernel ends it.
            ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core), *command],
            cwd=directory,
            env={"PATH": os.environ["PATH"], **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,  # Ctrl-C is for us: we decide on the order
        )
    process = Process(child, log)
    try:
        yield process
    finally:
        process.stop()


def end_in_order() -> None:
    """Let SIGTERM end us as Ctrl-C does, so that everything started is ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def children(pid: int) -> list[int]:
    """Return the living children of *pid*."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
            found.extend(map(int, listed.read_text().split()))
    return found


def family(pid: int) -> list[int]:
    """Return *pid* and its living descendants."""
    found = [pid]
    for member in found:
        found.extend(children(member))
    return found


def family_seconds(pid: int) -> float:
    """Return the processor time of *pid* and its descendants, also of those that have ended."""
    return sum(_used_seconds(Path(f"/proc/{member}")) for member in family(pid))


def pin(pid: int, core: int) -> None:
    """Keep *pid* and its descendants, with their threads and those to come, on *core*."""
    for member in family(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in Path(f"/proc/{member}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})


def free_port() -> int:
    """Return a port of loopback where nothing listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether a process listens on *port* of loopback."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _used_seconds(task: Path) -> float:
    # proc_pid_stat(5): the name in parentheses may hold spaces; 14 to 17 are the times.
    try:
        fields = (task / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # it has ended, and is counted with its parent from now on
    return sum(map(int, fields[11:15])) / _TICKS_PER_SECOND


def _proportional_bytes(pid: int) -> int:
    # proc(5): Pss is what is its own, and its share of what several processes have mapped.
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended
    [kib] = [line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")]
    return int(kib) * 1024
