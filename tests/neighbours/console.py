"""`podwarden-audit`, run as an operator runs it."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.neighbours.services import CHECKOUT

PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    output: str
    complaints: str

    @property
    def lines(self) -> list[str]:
        """What a check said."""
        return self.output.splitlines()


async def console(*arguments: str, directory: Path, **environment: str) -> Done:
    """Run the program in *directory* with *environment* alone; there must be no traceback."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.console", *arguments),
        cwd=directory,
        env={"PATH": os.defpath, "PYTHONPATH": str(CHECKOUT), **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, complaints = await process.communicate()
    done = Done(process.returncode or 0, output.decode(), complaints.decode())
    assert "Traceback" not in done.complaints, done.complaints
    return done
