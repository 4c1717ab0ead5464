"""aics-witness, a witness of another make, as a process."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.neighbours.environments import environment, python_since
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port, is_listening

LOCK: Final = Path(__file__).parent.parent / "anchors" / "locks" / "aics.lock"


class AicsWitness:
    """A witness that keeps its folder and its port when it is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "witness.json"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._words = folder / "words"
        self.vkey = self._told(
            *("init", "--name", "witness.example/w1", "--prefix", "/w1"),
            *("--listen", f"127.0.0.1:{self._port}"),
        )

    @property
    def anchor(self) -> str:
        return f"witness+http://127.0.0.1:{self._port}/w1#{self.vkey}&every=0.01"

    def trust(self, origin: str, vkey: str) -> None:
        self._told("add-log", "--origin", origin, "--vkey", vkey)

    async def start(self) -> None:
        self._start()

        async def look() -> bool:
            return is_listening(self._port)

        await eventually(look, self._words.read_text)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        with self._words.open("ab") as words:
            command = (programs() / "aics-witness", "serve", "--config", self._config)
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=words, stderr=words
            )

    def _told(self, command: str, *arguments: str) -> str:
        program = programs() / "aics-witness"
        ran = subprocess.run(
            (program, command, "--config", self._config, *arguments),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()


def programs() -> Path:
    """Return the folder of its programs, installed at first."""
    return environment(LOCK, python_since(12))


@asynccontextmanager
async def aics_witness_of(folder: Path, **logs: str) -> AsyncIterator[AicsWitness]:
    """Run a witness that trusts *logs*: vkeys by origin."""
    witness = AicsWitness(folder)
    for origin, vkey in logs.items():
        witness.trust(origin, vkey)
    await witness.start()
    try:
        yield witness
    finally:
        witness.kill()
