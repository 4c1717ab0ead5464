"""A command that reads the log while it runs: what it has said so far, and signals to it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.neighbours.program import CHECKOUT, WHERE_ARE_YOU, Program

_PATIENCE_SECONDS: Final = 30


class Running:
    """A running command."""

    def __init__(
        self, program: Program, said: asyncio.StreamReader, complained: asyncio.StreamReader
    ) -> None:
        self.program = program
        self._said = said
        self._complained = complained

    async def line(self) -> str:
        """Return its next line, without the line break; empty at its end."""
        return await _line(self._said)

    async def remark(self) -> str:
        """Return the next line of its standard error."""
        return await _line(self._complained)

    async def end(self, sent: signal.Signals) -> tuple[int, str]:
        """Send it *sent*; return its exit code and what else it complained of."""
        self.program.send_signal(sent)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                code = await self.program.wait()
        except TimeoutError:
            self.program.send_signal(WHERE_ARE_YOU)
            frames = await self._complained.readuntil(b"in <module>\n")  # the outermost
            raise AssertionError(f"it goes on after {sent.name}:\n{frames.decode()}") from None
        return code, (await self._complained.read()).decode()


@asynccontextmanager
async def running_command(
    *arguments: str,
    directory: Path,
    output: int | None = None,
    complaints: int | None = None,
    **environment: str,
) -> AsyncIterator[Running]:
    """Run `podwarden-audit`; what it says comes through pipes, or goes to the descriptors."""
    read_said, said = os.pipe()
    read_complained, complained = os.pipe()
    program = Program.start(
        "deploy.console",
        *arguments,
        directory=directory,
        environment={"PATH": os.defpath, "PYTHONPATH": str(CHECKOUT), **environment},
        output=said if output is None else output,
        complaints=complained if complaints is None else complaints,
    )
    os.close(said)
    os.close(complained)
    readers = [await _reader(read_said), await _reader(read_complained)]
    try:
        yield Running(program, *(reader for reader, _ in readers))
    finally:
        program.kill()
        await program.wait()
        for _, transport in readers:
            transport.close()


async def _reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    return reader, transport


async def _line(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        return (await reader.readline()).decode().removesuffix("\n")
