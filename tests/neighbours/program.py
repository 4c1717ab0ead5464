"""The programs of this project as real processes, begun without importing their modules anew.

`python -m proxy` spends over a second on imports before it does anything, and the tests begin
hundreds of them. A fork server imports the modules once. Each program is a fork of it, becomes
`__main__` of its module, and from there on is what `python -m` would have made of it. A program
whose environment is read by imports, or that is to run other code, gets a new interpreter.
"""

import asyncio
import faulthandler
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, Final, Self

CHECKOUT: Final = Path(__file__).parents[2]
WHERE_ARE_YOU: Final = signal.SIGUSR2
"""Has a program write the frames of its threads to its standard error."""
_LOADED: Final = (
    *("proxy.__main__", "audit_api.__main__", "audit_log.__main__"),
    *("deploy.console", "deploy.local.__main__"),
)


class Program:
    """A running program: its process id, its exit code, and how a signal reaches it."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(process.sentinel, self._end)

    @classmethod
    def start(
        cls,
        module: str,
        *arguments: str,
        directory: str | Path,
        environment: Mapping[str, str],
        output: int,
        complaints: int,
    ) -> Self:
        """Run *module* in *directory* with *environment* alone.

        *output* and *complaints* are the descriptors of its standard output and standard error.
        """
        return cls(_fork(module, arguments, directory, environment, output, complaints))

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code; the negative number of the signal that ended it; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Return its exit code once it has ended."""
        return await asyncio.shield(self._ended)

    def send_signal(self, sent: signal.Signals) -> None:
        """Send it *sent*, unless it has ended."""
        if not self._ended.done():
            with suppress(ProcessLookupError):  # it has ended, and the loop will learn of it
                os.kill(self.pid, sent)

    def kill(self) -> None:
        """End it as a crash would."""
        self.send_signal(signal.SIGKILL)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        assert self._process.exitcode is not None
        self._ended.set_result(self._process.exitcode)


def run(
    module: str,
    *arguments: str,
    environment: Mapping[str, str],
    directory: str | Path = CHECKOUT,
    seconds: float,
) -> tuple[int, str, str]:
    """Run *module* to its end, for *seconds* at most; return its exit code, output and complaints.

    It blocks, and it must not be called in a loop that the program is waiting for.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        process = _fork(
            module, arguments, directory, environment, output.fileno(), complaints.fileno()
        )
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"{module} did not end within {seconds} s")
        output.seek(0)
        complaints.seek(0)
        return process.exitcode, output.read().decode(), complaints.read().decode()


def _fork(
    module: str,
    arguments: tuple[str, ...],
    directory: str | Path,
    environment: Mapping[str, str],
    output: int,
    complaints: int,
) -> BaseProcess:
    process = _context(environment).Process(
        target=_begin,
        args=(module, arguments, str(directory), dict(environment)),
        kwargs={"output": DupFd(output), "complaints": DupFd(complaints)},
        daemon=True,
    )
    process.start()
    return process


def _context(environment: Mapping[str, str]) -> ForkServerContext | SpawnContext:
    # aiohttp makes its TLS context, with the authorities that SSL_CERT_FILE names, on import.
    read_on_import = any(name.startswith("SSL_") for name in environment)
    if read_on_import or environment.get("PYTHONPATH", str(CHECKOUT)) != str(CHECKOUT):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_LOADED, "tests.neighbours.loaded"])
    return context


def _begin(
    module: str,
    arguments: tuple[str, ...],
    directory: str,
    environment: dict[str, str],
    *,
    output: Any,
    complaints: Any,
) -> None:
    """Make this fork the program *module*."""
    for stream, given in ((1, output), (2, complaints)):
        descriptor = given.detach()
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    # A shell starts what it puts in the background with SIGINT ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.register(WHERE_ARE_YOU, chain=True)
    time.tzset()
    sys.path[:0] = environment.get("PYTHONPATH", str(CHECKOUT)).split(os.pathsep)
    become(module, *arguments)


def become(module: str, *arguments: str) -> None:
    """Make this process the program *module*, as `python -m` does, with what is imported."""
    sys.argv = [module, *arguments]
    for loaded in {module, f"{module}.__main__"}.intersection(_LOADED):
        sys.modules.pop(loaded, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
