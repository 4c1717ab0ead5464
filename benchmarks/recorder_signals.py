"""What a recorder has to bear while calls are measured; it is reached through its keeper."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from benchmarks.process import children

_KILL_SECONDS: Final = 1.0


@contextmanager
def left_alone(_: int) -> Iterator[None]:
    """Do nothing."""
    yield


@contextmanager
def stopped(keeper: int) -> Iterator[None]:
    """Keep the recorder from running until the block ends."""
    [recorder] = children(keeper)
    os.kill(recorder, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(recorder, signal.SIGCONT)


@contextmanager
def killed_each_second(keeper: int) -> Iterator[None]:
    """Kill the recorder each second at which it runs, until the block ends."""
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(_KILL_SECONDS):
            for recorder in children(keeper):
                with suppress(ProcessLookupError):
                    os.kill(recorder, signal.SIGKILL)

    thread = threading.Thread(target=kill, name="kills")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
