"""A service as a child process: started, listened to, stopped in order."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

from deploy.local.addresses import url
from deploy.local.errors import CannotRunError
from deploy.local.events import describe, is_alarming, parse

_START_SECONDS: Final = 30
_STOP_SECONDS: Final = 40
"""Longer than a service gives its calls in flight and its records together."""
_LONGEST_LINE_BYTES: Final = 2**20


class Service:
    """A running child. All that it says goes into its log file, alarms to the terminal too."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        """*process* has a pipe for its standard output; *log* is the file."""
        self._name = name
        self._process = process
        self._log = log
        self._announced: asyncio.Future[dict[str, Any]] = asyncio.Future()
        self._stopping = False
        self.ended = asyncio.create_task(self._listen(), name=f"log-of-{name}")
        """Done when the child has ended and its last words are in the log."""

    @property
    def announcement(self) -> dict[str, Any]:
        """What it said when it began to listen."""
        return self._announced.result()

    @property
    def url(self) -> str:
        """Where it listens."""
        return url(self.announcement["host"], self.announcement["port"])

    @property
    def obituary(self) -> str:
        """How it ended by itself."""
        return f"{self._name} ended with exit code {self._process.returncode}; see {self._log}"

    async def wait_until_it_listens(self) -> None:
        """Raise CannotRunError when it ends first, or takes too long."""
        news: set[asyncio.Future[Any]] = {self._announced, self.ended}
        await asyncio.wait(news, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self._announced.done():
            return
        if self.ended.done():
            raise CannotRunError(self.obituary)
        raise CannotRunError(
            f"{self._name} did not listen within {_START_SECONDS} seconds; see {self._log}"
        )

    async def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._stopping = True
        if self._process.returncode is None:
            self._process.terminate()
        _, still_running = await asyncio.wait({self.ended}, timeout=_STOP_SECONDS)
        if still_running:
            print(f"{self._name} does not stop; killing it.", file=sys.stderr)
            self._process.kill()
        await self.ended

    async def _listen(self) -> None:
        words = cast("asyncio.StreamReader", self._process.stdout)
        with self._log.open("ab") as log:
            async for line in words:
                log.write(line)
                log.flush()
                self._hear(line)
        await self._process.wait()

    def _hear(self, line: bytes) -> None:
        event = parse(line)
        if event.get("event") == "service.started" and not self._announced.done():
            self._announced.set_result(event)
        elif is_alarming(event) and not self._stopping:
            print(f"{self._name} | {describe(event)}", file=sys.stderr)


@asynccontextmanager
async def running(
    name: str, module: str, log: Path, inherited: tuple[int, ...]
) -> AsyncIterator[Service]:
    """Run *module* as a child that keeps the *inherited* descriptors, and wait until it listens.

    The child has a session of its own, so that Ctrl-C reaches us alone and we decide on the order.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "deploy.local.attached", module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        pass_fds=inherited,
        limit=_LONGEST_LINE_BYTES,
    )
    service = Service(name, process, log)
    try:
        await service.wait_until_it_listens()
        yield service
    finally:
        await service.stop()
