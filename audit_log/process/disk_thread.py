"""A thread for disk work, which may hang for ever; the process can exit without it."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")
_Work = Callable[[], None]


class DiskThread:
    """Runs calls one after the other, off the event loop.

    Not an executor of the standard library: the interpreter joins those at exit, so a disk that
    hangs would keep a stopped sidecar alive.
    """

    def __init__(self, name: str) -> None:
        self._works: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(
        self, function: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> asyncio.Future[Result]:
        """Run *function* in the thread; the future belongs to the calling loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def work() -> None:
            try:
                settle = partial(_set_result, future, function(*arguments))
            except Exception as error:  # noqa: BLE001 -- raised where the future is awaited
                settle = partial(_set_exception, future, error)
            # The loop may be closed by the time the disk returns.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settle)

        self._works.put(work)
        return future

    def end(self) -> None:
        """Let the thread end when it has done all submitted calls."""
        self._works.put(None)

    def _run(self) -> None:
        while (work := self._works.get()) is not None:
            work()


def in_disk_thread(
    name: str, function: Callable[[*Arguments], Result], *arguments: *Arguments
) -> asyncio.Future[Result]:
    """Run *function* in a thread of its own, which then ends; see `DiskThread.submit`."""
    thread = DiskThread(name)
    future = thread.submit(function, *arguments)
    thread.end()
    return future


def _set_result(future: asyncio.Future[Result], result: Result) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Result], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
