"""The audit API as a witness, inside the test's own loop, without a database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession

from audit_api.witness.witness_routes import PREFIX
from audit_log.seal.keys import SignerKey
from tests.neighbours.audit_api import serving_audit_api
from tests.neighbours.patience import eventually
from tests.neighbours.services import refusing_port


@dataclass(frozen=True)
class Answer:
    """What a witness responds to a request."""

    status: int
    content_type: str
    text: str


class RunningWitness:
    """A witness, asked over HTTP by a client that knows nothing but the protocol."""

    def __init__(self, client: ClientSession, folder: Path) -> None:
        self._client = client
        self._folder = folder

    @property
    def url(self) -> str:
        """Its submission prefix."""
        return f"{str(self._client._base_url).rstrip('/')}{PREFIX}"

    @property
    def anchor(self) -> str:
        """What a sidecar is told of it; more options may follow."""
        return f"witness+{self.url}#{self.vkey}&every=0.01"

    @property
    def vkey(self) -> str:
        return str(SignerKey.parse((self._folder / "witness.key").read_text().strip()).verifier)

    async def opened(self) -> None:
        """Return when the witness has a key, which it makes at its first start."""

        async def look() -> bool:
            return (self._folder / "witness.key").exists()

        await eventually(look)

    async def add(self, body: bytes) -> Answer:
        async with self._client.post(f"{PREFIX}/add-checkpoint", data=body) as response:
            told = response.headers["Content-Type"]
            return Answer(response.status, told, await response.text())

    async def last(self, origin_hash: str) -> Answer:
        async with self._client.get(f"{PREFIX}/{origin_hash}/checkpoint") as response:
            told = response.headers["Content-Type"]
            return Answer(response.status, told, await response.text())

    async def reasons(self) -> list[str]:
        """Return what /readyz says."""
        async with self._client.get("/readyz") as response:
            told: list[str] = (await response.json())["reasons"]
            return told


@asynccontextmanager
async def witness_of(folder: Path, *vkeys: str) -> AsyncIterator[RunningWitness]:
    """Run an audit API that is a witness of the logs with *vkeys*, and remembers in *folder*."""
    with refusing_port() as nobody:
        async with serving_audit_api(
            f"postgresql://nobody@127.0.0.1:{nobody}/no",
            witness_dir=folder,
            witness_logs=" ".join(vkeys),
        ) as client:
            yield RunningWitness(client, folder)
