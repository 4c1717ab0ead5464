"""The supervisor: starts the workers, replaces those that end or hang, and stops them."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from audit_log.process.background import BackgroundTasks
from audit_log.process.sockets import CannotListenError
from proxy.mcp.shared_memory import SharedMemory
from proxy.settings import ProxySettings
from proxy.workers.beats import BEAT_SECONDS, State, States
from proxy.workers.fork_server import ForkServer, Order, Process, WorkerFailedError
from proxy.workers.places import ops_ports, place_of

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
_LONG_LIFE_SECONDS: Final = 60.0
_HUNG_BEATS: Final = 10
"""A worker that misses so many beats in a row is killed. Counted by the supervisor's own clock: a
machine that was suspended has stopped both."""
_START_BEATS: Final = 60
_LAST_PORT: Final = 65_535
log = structlog.get_logger("proxy")


@dataclass(frozen=True, slots=True)
class Worker:
    """One of the sidecars: its number, and how its settings differ from the supervisor's."""

    number: int
    environment: Mapping[str, str]


def workers_of(settings: ProxySettings, instance: str) -> list[Worker]:
    """Return the workers that *settings* ask for.

    Raise CannotListenError if one of their ports is not free.
    """
    ports = ops_ports(settings)
    _check_free("PROXY_HOST, PROXY_PORT", settings.host, settings.port)
    if max(ports) > _LAST_PORT:
        raise CannotListenError(
            f"PROXY_OPS_PORT: each worker needs a port of its own from {settings.ops_port} on, "
            f"and the last port is {_LAST_PORT}; begin with a lower one"
        )
    for port in ports:
        _check_free("PROXY_OPS_HOST, PROXY_OPS_PORT", settings.ops_host, port)
    if settings.hub_url is not None:
        _check_free("PROXY_HUB_HOST, PROXY_HUB_PORT", settings.hub_host, settings.hub_port)
    places = [
        place_of(number, settings.journal_dir, instance) for number in range(settings.workers)
    ]
    key_file = settings.key_file_in(settings.journal_dir)
    key = {} if key_file is None else {"PROXY_SEAL_KEY_FILE": str(key_file)}
    return [
        Worker(
            number,
            {
                **key,
                "PROXY_WORKERS": "1",
                "PROXY_SHARES_PORT": "on",
                "PROXY_INSTANCE": place.instance,
                "PROXY_JOURNAL_DIR": str(place.journal),
                "PROXY_OPS_PORT": str(port),
            },
        )
        for number, (place, port) in enumerate(zip(places, ports, strict=True))
    ]


def _check_free(setting: str, host: str, port: int) -> None:
    """Raise CannotListenError if the address is in use, also by a process that shares ports."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
                probe.listen()
    except OSError as error:
        raise CannotListenError(
            f"{setting}: cannot listen on {host} port {port}: {str(error.strerror).lower()}"
        ) from error


async def supervise(
    workers: list[Worker],
    fork_server: ForkServer,
    tasks: BackgroundTasks,
    problem: Callable[[], str | None],
) -> None:
    """Keep *workers* running until SIGTERM or SIGINT; then stop them and await their end.

    Every worker reports *problem*, and what is wrong with *tasks*.

    Raise WorkerFailedError if a worker fails at its first start, or *fork_server* has ended.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with _pipe() as pipe:
        supervisor = Supervisor(fork_server, len(workers), pipe, stop, tasks)
        show = partial(supervisor.keep_showing, problem)
        async with (
            tasks.running(show, "supervisor-state"),
            tasks.running(supervisor.stop_without_fork_server, "fork-server-watch"),
        ):
            await supervisor.run(workers)


class Supervisor:
    """Runs the workers until it is told to stop."""

    def __init__(
        self,
        fork_server: ForkServer,
        workers: int,
        pipe: int,
        stop: asyncio.Event,
        tasks: BackgroundTasks,
    ) -> None:
        self._fork_server = fork_server
        self._states = States.create(workers)
        self._tool_calls = SharedMemory.create(workers)
        self._pipe = pipe
        self._stop = stop
        self._tasks = tasks
        self._served: set[int] = set()
        """The numbers of workers that have accepted calls."""
        self._failure: str | None = None

    async def run(self, workers: list[Worker]) -> None:
        """Keep *workers* running."""
        async with asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(self._keep_running(worker), name=f"worker-{worker.number}")
        if self._failure is not None:
            raise WorkerFailedError(self._failure)

    async def keep_showing(self, problem: Callable[[], str | None]) -> None:
        """Have every worker report *problem*, for ever."""
        while True:
            reasons = list(filter(None, [problem(), *self._tasks.problems]))
            self._states.show(self._states.supervisor, State(is_accepting=True, reasons=reasons))
            await asyncio.sleep(BEAT_SECONDS)

    async def _keep_running(self, worker: Worker) -> None:
        """Run *worker* until the stop; restart it with growing pauses when it ends early."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            began = loop.time()
            try:
                code: int | str | None = await self._run(worker)
            except OSError as error:
                code = f"not started: {error}"
            self._forget(worker)
            if self._stop.is_set():
                return
            log.error("worker.ended_early", worker=worker.number, code=code)
            if code == 1 and worker.number not in self._served:
                # As a single sidecar would: what keeps it from starting does not pass by itself.
                self._fail(f"worker {worker.number} could not start; its lines above say why")
                return
            if loop.time() - began > _LONG_LIFE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await self._wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def stop_without_fork_server(self) -> None:
        """Stop all when the fork server ends: a worker that ended could not be replaced."""
        await self._fork_server.lost()
        if not self._stop.is_set():
            self._fail("the process that forks the workers has ended: start the sidecar again")

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._stop.set()

    async def _run(self, worker: Worker) -> int | None:
        process = await self._fork_server.start(
            Order(worker.number, self._states.workers, worker.environment),
            (self._pipe, self._states.file, self._tool_calls.file),
        )
        stopped = asyncio.create_task(self._stop.wait(), name=f"stop-of-worker-{worker.number}")
        watch = partial(self._kill_when_hung, worker, process)
        async with self._tasks.running(watch, f"watch-worker-{worker.number}"):
            await asyncio.wait({process.ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            process.send_signal(signal.SIGTERM)
            return await process.ended

    async def _kill_when_hung(self, worker: Worker, process: Process) -> None:
        last, missed = 0, 0
        while missed < (_HUNG_BEATS if last else _START_BEATS):
            await asyncio.sleep(BEAT_SECONDS)
            beat = self._states.beat(worker.number)
            state = self._states.state(worker.number)
            if state is not None and state.is_accepting:
                self._served.add(worker.number)
            missed = missed + 1 if beat == last else 0
            last = beat
        log.error("worker.hung", worker=worker.number, seconds=missed * BEAT_SECONDS)
        process.send_signal(signal.SIGKILL)
        await asyncio.wait({process.ended})

    def _forget(self, worker: Worker) -> None:
        self._states.clear(worker.number)
        self._tool_calls.parts[worker.number].clear()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return


@contextmanager
def _pipe() -> Iterator[int]:
    """Yield the workers' end of a pipe whose other end only this process holds."""
    held, ours = os.pipe()
    try:
        yield held
    finally:
        os.close(held)
        os.close(ours)
