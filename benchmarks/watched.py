"""A sidecar watched under load: what its event loop was at, and what its recorder."""

import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.load import closed_loop
from benchmarks.process import children
from benchmarks.rounds import Contestant
from benchmarks.stacks import Stack, stacks, watcher

_ALONE_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of a sidecar under load."""

    loop: list[Stack]
    recorder: list[Stack]
    part: float
    """Which part of the time of all its processes the loop's thread used."""


def watched(contestant: Contestant, connections: int, seconds: int) -> Watched:
    """Watch the loop under load, and then the recorder, each for *seconds*."""
    assert contestant.process is not None
    process, program = contestant.process, watcher()
    [keeper] = children(process.pid)
    [recorder] = children(keeper)
    load = threading.Thread(
        target=partial(
            closed_loop,
            contestant.target,
            connections=connections,
            seconds=2 * (seconds + _ALONE_SECONDS),
        ),
        name="load",
    )
    load.start()
    try:
        # Before it is watched: being stopped costs all threads, and the idle ones most.
        whole, loop = process.cpu_seconds, process.first_thread_cpu_seconds
        time.sleep(_ALONE_SECONDS)
        part = (process.first_thread_cpu_seconds - loop) / (process.cpu_seconds - whole)
        found = stacks(program, process.pid, seconds)
        recorded = stacks(program, recorder, seconds, every_thread=True)
    finally:
        load.join()
    return Watched(found, recorded, part)
