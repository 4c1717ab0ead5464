"""The processes that a sidecar consists of: the proxy, its keeper and its recorder."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.neighbours.patience import eventually
from tests.neighbours.services import Service


def children_of(pid: int) -> list[int]:
    said = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in said.split()]


def is_alive(pid: int) -> bool:
    """Whether *pid* runs; a process that has ended and is not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the second when it ends meanwhile
        return False
    return state != "Z"


def keeper_of(sidecar: Service) -> int:
    [keeper] = children_of(sidecar.pid)
    return keeper


async def recorder_of(sidecar: Service, besides: int = 0) -> int:
    """Return the recorder's number, as soon as there is one *besides* a former one."""

    async def found() -> int | None:
        alive = [pid for pid in children_of(keeper_of(sidecar)) if is_alive(pid)]
        return alive[0] if alive and alive != [besides] else None

    return await eventually(found, sidecar.report)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Keep a process from running, as a debugger does."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def all_of(service: Service) -> list[int]:
    """Return the numbers of the service's process and of those below it, parents first."""
    found = [service.pid]
    for pid in found:
        found += children_of(pid)
    return found
