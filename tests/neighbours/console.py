"""`podwarden-audit`, run as an operator runs it."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from tests.neighbours.program import CHECKOUT, run

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
    done = Done(
        *await asyncio.to_thread(
            run,
            "deploy.console",
            *arguments,
            directory=directory,
            environment={"PATH": os.defpath, "PYTHONPATH": str(CHECKOUT), **environment},
            seconds=PATIENCE_SECONDS,
        )
    )
    assert "Traceback" not in done.complaints, done.complaints
    return done
