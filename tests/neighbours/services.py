"""The services of this project as real processes, set up by their environment alone."""

import asyncio
import json
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from tests.neighbours.program import CHECKOUT, Program

START_SECONDS: Final = 30
STOP_SECONDS: Final = 30


class Service:
    """A running service: where it listens, what it logs, and how it stops."""

    def __init__(
        self, process: Program | asyncio.subprocess.Process, complaints: BinaryIO
    ) -> None:
        self._process = process
        self._complaints = complaints
        self._changed = asyncio.Condition()
        self._log_has_ended = False
        self._listener = asyncio.create_task(self._listen(), name=f"log of {process.pid}")
        self.log: list[dict[str, Any]] = []
        """Its events, oldest first."""
        self.noise: list[str] = []
        """Lines that are no events, such as tracebacks. Operators should never see one."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def started(self) -> dict[str, Any]:
        return next(event for event in self.log if event["event"] == "service.started")

    @property
    def port(self) -> int:
        return int(self.started["port"])

    @property
    def ops_port(self) -> int:
        return int(self.started["ops_port"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ops_url(self) -> str:
        return f"http://127.0.0.1:{self.ops_port}"

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    @property
    def peak_bytes(self) -> int:
        """The most memory that the process has held so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    async def logged(self, event: str) -> dict[str, Any]:
        """Return the first *event* of the log; wait until there is one."""
        async with asyncio.timeout(START_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self._first(event) or self._log_has_ended)
        found = self._first(event)
        assert found, f"ended without {event}:\n{self.report()}"
        return found

    def report(self) -> str:
        """What it said, for the failure of a test."""
        return "\n".join([*map(json.dumps, self.log), *self.noise])

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep the process from running: what arrives meanwhile, it finds all at once."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def stop(self, stop_signal: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and return its exit code."""
        self._process.send_signal(stop_signal)
        return await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended, and return its exit code."""
        async with asyncio.timeout(STOP_SECONDS):
            await self._process.wait()
            await self._listener
        return self._process.returncode or 0

    async def kill(self) -> None:
        """End it as a crash would, if it still runs. Nothing of it is left."""
        if self.is_running:
            self._process.kill()
        await self._process.wait()
        await self._listener

    async def _listen(self) -> None:
        events = asyncio.StreamReader(2**20)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(events), self._complaints
        )
        async for line in events:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.noise.append(line.decode(errors="replace").rstrip())
            async with self._changed:
                self._changed.notify_all()
        transport.close()
        self._log_has_ended = True
        async with self._changed:
            self._changed.notify_all()

    def _first(self, event: str) -> dict[str, Any] | None:
        return next((line for line in self.log if line["event"] == event), None)


@asynccontextmanager
async def running(
    module: str, environment: dict[str, str], *arguments: str
) -> AsyncIterator[Service]:
    """Run *module* with *arguments*, and *environment* alone, in a directory of its own.

    On leaving it is stopped in order: it must exit with 0 and must have logged events only.
    """
    with tempfile.TemporaryDirectory(prefix=f"{module}-") as directory:
        service = _start(module, directory, environment, *arguments)
        try:
            await service.logged("service.started")
            yield service
            if service.is_running:
                assert await service.stop() == 0, service.report()
                assert service.noise == [], service.report()
        finally:
            await service.kill()


def _start(module: str, directory: str, environment: dict[str, str], *arguments: str) -> Service:
    readable, writable = os.pipe()
    with Path(os.devnull).open("wb") as nowhere, os.fdopen(writable, "wb") as written:
        program = Program.start(
            module,
            *arguments,
            directory=directory,
            environment={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(CHECKOUT),
                "AUDIT_LOG_LOG_FORMAT": "json",
                **environment,
            },
            output=nowhere.fileno(),
            complaints=written.fileno(),
        )
    return Service(program, os.fdopen(readable, "rb"))


@asynccontextmanager
async def running_sidecar(
    upstream_url: str, database_url: str | None = None, **environment: str
) -> AsyncIterator[Service]:
    """Run the sidecar before *upstream_url*, with a journal of its own.

    Without a *database_url* PostgreSQL is away: calls must not notice.
    """
    with (
        tempfile.TemporaryDirectory(prefix="journal-") as journal,
        tempfile.TemporaryDirectory(prefix="journal-ring-") as ring,
        refusing_port() as nobody,
    ):
        settings = {
            "AUDIT_LOG_DATABASE_URL": database_url or f"postgresql://nobody@127.0.0.1:{nobody}/no",
            "PROXY_UPSTREAM_URL": upstream_url,
            "PROXY_PORT": "0",
            "PROXY_OPS_PORT": "0",
            "PROXY_JOURNAL_DIR": journal,
            "PROXY_JOURNAL_RING_DIR": ring,
        }
        async with running("proxy", settings | environment) as service:
            yield service


def running_audit_api(
    database_url: str, **environment: str
) -> AbstractAsyncContextManager[Service]:
    """Run the audit API on *database_url*."""
    settings = {"AUDIT_LOG_DATABASE_URL": database_url, "AUDIT_API_PORT": "0"}
    return running("audit_api", settings | environment)


def running_ingest(database_url: str, **environment: str) -> AbstractAsyncContextManager[Service]:
    """Run the ingest, which brings what is published to NATS into *database_url*."""
    settings = {"AUDIT_LOG_DATABASE_URL": database_url, "AUDIT_LOG_INGEST_OPS_PORT": "0"}
    return running("audit_log", settings | environment, "ingest")


@contextmanager
def refusing_port() -> Iterator[int]:
    """Keep a port of this machine on which no process listens or can begin to."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
