"""Several sidecars on one port, one process each: the kernel distributes the connections.

Each worker is a whole sidecar with its own journal, health port and instance name, and knows
nothing of the others. A tool call and the API calls that it causes may reach different workers.
The ids that the sidecar added are then not recognised, and `inferred` considers one worker only.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from proxy.settings import ProxySettings

LEASH_VARIABLE: Final = "PROXY_LEASH"
"""Names a worker's end of a pipe, which closes when the supervisor ends, in whatever way."""
_WORKER: Final = "worker-"
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
_LONG_LIFE_SECONDS: Final = 60.0
log = structlog.get_logger("proxy")


@dataclass(frozen=True, slots=True)
class Worker:
    """One of the sidecars: its number, and how its settings differ from the supervisor's."""

    number: int
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """The journal folder of a sidecar, and its instance name in records."""

    journal: Path
    instance: str


def place_of(number: int, journal_dir: Path, instance: str) -> Place:
    """Return the place of the worker *number* under a supervisor with these settings."""
    return Place(journal_dir / f"{_WORKER}{number}", f"{instance}/{number}")


def known_places(journal_dir: Path, instance: str) -> list[Place]:
    """Return the place of a single sidecar, and of each worker whose folder exists."""
    found = [path.name.removeprefix(_WORKER) for path in journal_dir.glob(f"{_WORKER}*")]
    numbers = sorted(int(number) for number in found if number.isdecimal())
    workers = [place_of(number, journal_dir, instance) for number in numbers]
    return [Place(journal_dir, instance), *workers]


def workers_of(settings: ProxySettings, instance: str) -> list[Worker]:
    """Return the workers that *settings* ask for. The ops ports count up from the first."""
    places = [
        place_of(number, settings.journal_dir, instance) for number in range(settings.workers)
    ]
    return [
        Worker(
            number,
            {
                "PROXY_WORKERS": "1",
                "PROXY_SHARES_PORT": "on",
                "PROXY_INSTANCE": place.instance,
                "PROXY_JOURNAL_DIR": str(place.journal),
                "PROXY_OPS_PORT": str(settings.ops_port and settings.ops_port + number),
            },
        )
        for number, place in enumerate(places)
    ]


async def supervise(workers: list[Worker]) -> None:
    """Keep *workers* running until SIGTERM or SIGINT; then stop them and await their end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with _leash() as held:
        async with asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(
                    _keep_running(worker, held, stop), name=f"worker-{worker.number}"
                )


async def _keep_running(worker: Worker, leash: int, stop: asyncio.Event) -> None:
    """Run *worker* until *stop* is set; restart it with growing pauses when it ends early."""
    loop = asyncio.get_running_loop()
    pause = _FIRST_PAUSE_SECONDS
    while not stop.is_set():
        began = loop.time()
        try:
            code: int | str = await _run(worker, leash, stop)
        except OSError as error:
            code = f"not started: {error}"
        if stop.is_set():
            return
        log.error("worker.ended_early", worker=worker.number, code=code)
        if loop.time() - began > _LONG_LIFE_SECONDS:
            pause = _FIRST_PAUSE_SECONDS
        await _wait(stop, pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _run(worker: Worker, leash: int, stop: asyncio.Event) -> int:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy"),
        env={**os.environ, **worker.environment, LEASH_VARIABLE: str(leash)},
        pass_fds=[leash],
    )
    ended = asyncio.create_task(process.wait(), name=f"end-of-worker-{worker.number}")
    stopped = asyncio.create_task(stop.wait(), name=f"stop-of-worker-{worker.number}")
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        process.send_signal(signal.SIGTERM)
    return await ended


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


@contextmanager
def _leash() -> Iterator[int]:
    """Yield the workers' end of a pipe whose other end only this process holds."""
    held, ours = os.pipe()
    try:
        yield held
    finally:
        os.close(held)
        os.close(ours)


def stop_without_supervisor(stop: asyncio.Event) -> None:
    """Set *stop* when the supervisor that started this process, if any, has ended."""
    leash = os.environ.get(LEASH_VARIABLE)
    if leash is not None:
        asyncio.get_running_loop().add_reader(int(leash), _gone, int(leash), stop)


def _gone(leash: int, stop: asyncio.Event) -> None:
    asyncio.get_running_loop().remove_reader(leash)
    stop.set()
