"""`python -m deploy.local`, which is `make run`, as its user meets it."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.neighbours.memory import directory_in_memory
from tests.neighbours.program import CHECKOUT

START_SECONDS: Final = 60
STOP_SECONDS: Final = 60
ANY_PORTS: Final = {"PROXY_PORT": "0", "PROXY_OPS_PORT": "0", "AUDIT_API_PORT": "0"}
_LAST_LINE: Final = "asyncio.run(main())'"


@contextmanager
def place_of_runs() -> Iterator[Path]:
    """Yield a directory for runs, in which none of their processes may be left."""
    with directory_in_memory("run-") as directory:
        yield directory
        left = _processes_in(directory)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left


class Run:
    """One run: what it printed, and how it ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed: list[str] = []

    @property
    def curls(self) -> list[str]:
        return [line for line in self.printed if line.startswith("curl ")]

    @property
    def tokens(self) -> dict[str, str]:
        lines = (line.split() for line in self.printed if line.startswith("    "))
        return {words[0]: words[1] for words in lines if words[-1].startswith("pwm_")}

    @property
    def sign_in_link(self) -> str:
        [link] = [line for line in self.printed if "#sign-in=" in line]
        return link

    @property
    def sdk_call(self) -> str:
        """The lines that call a tool by the MCP SDK."""
        begin = next(n for n, line in enumerate(self.printed) if line.endswith(" -c '"))
        return "\n".join(self.printed[begin:])

    async def ready(self) -> None:
        """Wait until all has been printed."""
        assert self.process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            while self.printed[-1:] != [_LAST_LINE]:
                line = await self.process.stdout.readline()
                assert line, await self.complaint()
                self.printed.append(line.decode().rstrip("\n"))

    async def complaint(self) -> str:
        """Return all that it says on standard error until it has ended."""
        assert self.process.stderr is not None
        async with asyncio.timeout(STOP_SECONDS):
            complaint = await self.process.stderr.read()
            await self.process.wait()
        return complaint.decode()

    async def stop(self, number: signal.Signals) -> tuple[int, str]:
        """Send the signal; return the exit code and what was said on standard error."""
        self.process.send_signal(number)
        complaint = await self.complaint()
        return await self.process.wait(), complaint


def environment_of(directory: Path, given: Mapping[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        # Not the machine's tmpfs: what a killed sidecar leaves goes with the directory.
        "PROXY_JOURNAL_RING_DIR": str(directory),
        **given,
    }


@asynccontextmanager
async def local_run(directory: Path, *arguments: str, **environment: str) -> AsyncIterator[Run]:
    """Run it with its files in *directory*; stop it afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "deploy.local", *arguments),
        cwd=directory,
        env=environment_of(directory, environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    run = Run(process)
    try:
        yield run
    finally:
        if process.returncode is None:
            await run.stop(signal.SIGTERM)


async def typed(line: str) -> Any:
    """Do as a person who copies *line* into a shell; return the JSON that comes back."""
    if shutil.which("curl"):
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-c", line), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await shell.communicate()
        return json.loads(output)
    words = iter(shlex.split(line)[2:])
    fields, url, body = {}, "", None
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            fields[name] = value
        elif word == "-d":
            body = next(words).encode()
        else:
            url = word
    request = urllib.request.Request(url, body, fields)
    with await asyncio.to_thread(urllib.request.urlopen, request) as response:
        return json.load(response)


def _processes_in(directory: Path) -> list[int]:
    """Return the processes that work in *directory* or below: services, PostgreSQL and all."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # of another user, or gone by now
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append(int(process.name))
    return found
