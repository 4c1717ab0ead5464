"""A service as a forked process: started in a tenth of the time of a fresh interpreter."""

import asyncio
import atexit
import functools
import json
import os
import signal
import socket
import subprocess
import sys
from asyncio import StreamReader
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_CHECKOUT: Final = Path(__file__).parents[2]
_FORKABLE: Final = frozenset({"audit_api", "audit_log", "proxy"})
_READ_AT_START: Final = ("PYTHON", "SSL_")
_LINE_BYTES: Final = 2**20


def is_forkable(module: str, environment: Mapping[str, str]) -> bool:
    """Say whether a forked *module* does what a fresh interpreter would do.

    A variable that Python or a library reads when it starts comes too late for a fork.
    """
    return module in _FORKABLE and not any(name.startswith(_READ_AT_START) for name in environment)


class ForkedProcess:
    """What `asyncio.subprocess.Process` offers, as far as the tests use it."""

    def __init__(self, pid: int, status: StreamReader, stderr: StreamReader) -> None:
        self.pid = pid
        self.stderr = stderr
        self.returncode: int | None = None
        self._ended = asyncio.create_task(self._end(status), name=f"end of {pid}")

    async def wait(self) -> int:
        """Wait until the process has ended; return its exit code, negative after a signal."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; raise `ProcessLookupError` if the process has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process as a crash would."""
        self.send_signal(signal.SIGKILL)

    async def _end(self, status: StreamReader) -> int:
        self.returncode = int(await status.read())
        return self.returncode


async def start_forked(
    module: str, arguments: tuple[str, ...], environment: Mapping[str, str], directory: str
) -> ForkedProcess:
    """Run *module* with *arguments* and *environment* alone in *directory*; see forking_parent."""
    request = {
        "arguments": arguments,
        "environment": dict(environment),
        "directory": directory,
    }
    (stderr, child_stderr), (status, child_status) = os.pipe(), os.pipe()
    try:
        socket.send_fds(
            _parent_of(module), [json.dumps(request).encode()], [child_stderr, child_status]
        )
    finally:
        os.close(child_stderr)
        os.close(child_status)
    status_lines, stderr_lines = await _reader_of(status), await _reader_of(stderr)
    return ForkedProcess(int(await status_lines.readline()), status_lines, stderr_lines)


class _ClosedAtItsEnd(asyncio.StreamReaderProtocol):
    def eof_received(self) -> bool:
        super().eof_received()
        return False


async def _reader_of(descriptor: int) -> StreamReader:
    """Read from the pipe *descriptor*, which is closed at its end."""
    reader = StreamReader(limit=_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: _ClosedAtItsEnd(reader), os.fdopen(descriptor, "rb")
    )
    return reader


@functools.cache
def _parent_of(module: str) -> socket.socket:
    """Start the process that forks *module*. It ends with this process, however this one ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        parent = subprocess.Popen(
            [sys.executable, "-m", "tests.neighbours.forking_parent", module],
            cwd=_CHECKOUT,
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        parent.wait()

    atexit.register(end)
    return ours
