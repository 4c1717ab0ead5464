"""Plays one client: its server, the sidecar between them, and a process for each kind of call."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.clients.clients import Client, Server
from tests.neighbours.ports import free_port

TOOLS: Final = {
    "plain": "plain",
    "tool_error": "fail",
    "unknown_tool": "nonsense",
    "cancel": "hold",
    "hang_up": "hold",
    "progress": "progress",
    "resume": "resume",
    "accepted": "ask",
    "declined": "ask",
    "never_answered": "ask",
    "task_succeeds": "task",
    "task_fails": "task",
    "task_is_cancelled": "task",
    "cancelled_late": "task",
}
"""The kinds of calls, and the tool that each calls."""
_TOLD: Final = {"cancel", "task_is_cancelled"}
_LEAVES: Final = {"hang_up": "entered hold", "never_answered": "asked"}
"""The kinds whose client is killed, and after which line."""
_SECONDS: Final = 60


class Played:
    """A process group of a client or a server, and the lines that it prints."""

    def __init__(self, process: asyncio.subprocess.Process, complaints: Path) -> None:
        self._process = process
        self._complaints = complaints
        self._said: list[str] = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read(), name=f"lines of {process.pid}")

    def forget(self) -> None:
        """Forget what it has said so far."""
        self._said.clear()

    async def says(self, line: str) -> None:
        """Wait until it has said *line*."""
        async with asyncio.timeout(_SECONDS), self._changed:
            await self._changed.wait_for(lambda: line in self._said or self._reader.done())
        assert line in self._said, self.report()

    async def tell(self) -> None:
        """Tell it to go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go on\n")
        await self._process.stdin.drain()

    async def ended(self) -> str:
        """Wait for its end; return the last that it said."""
        async with asyncio.timeout(_SECONDS):
            await self._process.wait()
            await self._reader
        return self._said[-1] if self._said else ""

    async def kill(self) -> None:
        """End it with all that it has started, if it still runs."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._reader

    def report(self) -> str:
        """What it said, for the failure of a test."""
        return "\n".join([*self._said, self._complaints.read_text(errors="replace")[-2_000:]])

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._changed:
                self._said.append(line.decode(errors="replace").strip())
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def _started(
    command: Sequence[str], environment: Mapping[str, str]
) -> AsyncIterator[Played]:
    with tempfile.TemporaryDirectory(prefix="client-") as home:
        complaints = Path(home) / "complaints"
        with complaints.open("wb") as written:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=home,
                env={"PATH": os.environ["PATH"], "HOME": home, **environment},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=written,
                limit=2**20,
                start_new_session=True,
            )
        played = Played(process, complaints)
        try:
            yield played
        finally:
            await played.kill()


@asynccontextmanager
async def serving_tools(server: Server, port: int, api_url: str) -> AsyncIterator[Played]:
    """Run *server* on *port*; its tools call the API at *api_url*."""
    async with _started([*server.command, str(port), api_url], {}) as played:
        async with asyncio.timeout(_SECONDS):
            while not await _listens(port):
                await asyncio.sleep(0.05)
        yield played


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def play(client: Client, kind: str, url: str, token: str, server: Played) -> str:
    """Have *client* make a call of *kind* at *url*; return what its caller saw."""
    told = {"url": url, "token": token, "tool": TOOLS[kind]}
    environment = {name: text.format_map(told) for name, text in client.environment.items()}
    environment |= {
        "MCP_URL": url,
        "MCP_TOKEN": token,
        "KIND": kind,
        "MCP_USE_ANONYMIZED_TELEMETRY": "false",
    }
    server.forget()
    command = [part.format_map(told) for part in client.command]
    async with _started(command, environment) as played:
        if kind in _TOLD:
            await server.says("entered hold" if kind == "cancel" else "entered task")
            await played.tell()
        if kind in _LEAVES:
            line = _LEAVES[kind]
            await (played if line == "asked" else server).says(line)
            await played.kill()
        return await played.ended()


def ports() -> tuple[int, int]:
    """Return a port for the server and one for the sidecar."""
    return free_port(), free_port()
