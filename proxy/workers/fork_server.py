"""The fork server: a process that forks the workers, which so share the memory of what is loaded.

Theory of operation. The supervisor has an event loop, connections and threads, so it cannot fork
itself. The fork server is forked from it before it has any of them, and does nothing but fork
workers and wait for them. Each worker has a *line*, a socket on which the fork server sends the
worker's pidfd and at last its exit code. Signals go through the pidfd, and it says that the worker
has ended: both work also while the fork server is stopped, or has ended.

The fork server ends when its supervisor does, in whatever way, since the socket for orders closes
then. Workers end by a pipe of their own (`member.Leash`).
"""

import asyncio
import ctypes
import gc
import os
import select
import signal
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any, Final, Self

import msgspec

from proxy.workers.member import Leash

_REPLY_SECONDS: Final = 10.0
"""A fork takes milliseconds; a fork server that is silent for longer is stopped."""
_CODE_SECONDS: Final = 1.0
_MOST_BYTES: Final = 65_536
_LINE_AND_LEASH: Final = 4
_PR_SET_PDEATHSIG: Final = 1
"""Of prctl(2): which signal a process gets when the one that forked it ends."""
_OF_THE_SUPERVISOR: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class WorkerFailedError(Exception):
    """A worker could not be started at all. The message says what to do."""


class Order(msgspec.Struct, frozen=True):
    """Fork the worker *number* of *workers*, with *environment* beside the supervisor's."""

    number: int
    workers: int
    environment: Mapping[str, str]


class Process:
    """A running worker, as its supervisor sees it."""

    def __init__(self, pidfd: int, line: socket.socket) -> None:
        self._pidfd = pidfd
        self._line = line
        self.ended = asyncio.create_task(self._end(), name=f"end-of-process-{pidfd}")
        """Its exit code, or the negative number of the signal that ended it; None if unknown."""

    def send_signal(self, number: signal.Signals) -> None:
        """Send it *number*, unless it has ended."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    async def _end(self) -> int | None:
        try:
            await _readable(self._pidfd)
            async with asyncio.timeout(_CODE_SECONDS):
                await _readable(self._line.fileno())
            return int(self._line.recv(_MOST_BYTES))
        except (TimeoutError, ValueError):  # the fork server is stopped, or has ended
            return None
        finally:
            self._line.close()
            os.close(self._pidfd)


class ForkServer:
    """The fork server, as its supervisor sees it."""

    def __init__(self, pid: int, orders: socket.socket) -> None:
        self._pid = pid
        self._orders = orders

    async def start(self, order: Order, leash: tuple[int, int, int]) -> Process:
        """Start the worker of *order*, which inherits the files of *leash*.

        Raises OSError if it cannot be started.
        """
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as unless_started:
            unless_started.enter_context(line)
            with theirs:
                files = [theirs.fileno(), *leash]
                socket.send_fds(self._orders, [msgspec.json.encode(order)], files)
            try:
                async with asyncio.timeout(_REPLY_SECONDS):
                    await _readable(line.fileno())
            except TimeoutError:
                raise ChildProcessError("the process that forks workers is stopped") from None
            _, pidfds, _, _ = socket.recv_fds(line, _MOST_BYTES, 1)
            if not pidfds:
                raise ChildProcessError("no process or no memory is left")
            unless_started.pop_all()
        return Process(pidfds[0], line)

    async def lost(self) -> None:
        """Return when the fork server has ended, which it does not do by itself."""
        await _readable(self._orders.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it. The workers have ended before, or end by their leash."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._orders.close()


async def _readable(file: int) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(file, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(file)


def begin_fork_server() -> ForkServer | Leash:
    """Fork the fork server and return it; return its leash in each worker that it forks.

    To be called before this process has an event loop or a thread. Raises WorkerFailedError if the
    kernel has no pidfds.
    """
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        raise WorkerFailedError(
            "PROXY_WORKERS: several workers need pidfd_open(2), of Linux 5.3 or later, and here it"
            f" fails: {error.strerror}; allow it, or run one worker"
        ) from error
    orders, received = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # No collection visits what is loaded by now: it would write to the memory that is shared.
    gc.collect()
    gc.freeze()
    pid = os.fork()
    if pid:
        received.close()
        orders.settimeout(0)
        return ForkServer(pid, orders)
    orders.close()
    return _Forking(received).run()


class _Forking:
    """What the fork server does."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._lines: dict[int, tuple[int, socket.socket]] = {}
        """The process id and the line of each worker, by its pidfd."""
        self._poll = select.poll()
        self._poll.register(orders, select.POLLIN)
        self._handlers: dict[signal.Signals, Any] = {}

    def run(self) -> Leash:
        """Fork workers until the supervisor ends. Return in each worker, and there alone."""
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGCONT), 0, 0, 0)
        for number in _OF_THE_SUPERVISOR:
            # One for the whole group is for the supervisor, which stops the workers in order.
            self._handlers[number] = signal.signal(number, signal.SIG_IGN)
        while True:
            for file, _ in self._poll.poll():
                if file in self._lines:
                    self._report_end(file)
                elif leash := self._fork():
                    return leash

    def _fork(self) -> Leash | None:
        """Take an order. Return the leash in the worker that is forked for it."""
        told, files, _, _ = socket.recv_fds(self._orders, _MOST_BYTES, _LINE_AND_LEASH)
        if not told:
            os._exit(0)
        line, inherited = socket.socket(fileno=files[0]), files[1:]
        try:
            pid = os.fork()
        except OSError:  # no memory or no process is left; the closed line tells
            line.close()
            pid = -1
        if not pid:
            line.close()
            self._leave()
            order = msgspec.json.decode(told, type=Order)
            os.environ.update(order.environment)
            return Leash(order.number, order.workers, *inherited)
        for file in inherited:
            os.close(file)
        if pid > 0:
            self._note(pid, line)
        return None

    def _note(self, pid: int, line: socket.socket) -> None:
        pidfd = os.pidfd_open(pid)
        self._lines[pidfd] = pid, line
        self._poll.register(pidfd, select.POLLIN)
        try:
            socket.send_fds(line, [b"begun"], [pidfd])
        except OSError:  # the supervisor did not wait so long
            os.kill(pid, signal.SIGKILL)

    def _report_end(self, pidfd: int) -> None:
        pid, line = self._lines.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        with line, suppress(OSError):
            line.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _leave(self) -> None:
        """Let go, in a worker, of what is the fork server's."""
        self._orders.close()
        for pidfd, (_, line) in self._lines.items():
            os.close(pidfd)
            line.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
