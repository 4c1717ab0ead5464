"""moto, which speaks S3 as a process: conditions, versions and object locks."""

import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from aiohttp import ClientSession

from tests.neighbours.environments import environment
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port, is_listening

LOCK: Final = Path(__file__).parent.parent / "anchors" / "locks" / "moto.lock"
_SPACE: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_SIGNED: Final = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}


class MotoServer:
    """The store, as its owner sees it: moto verifies no signatures."""

    def __init__(self, port: int, client: ClientSession) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._client = client

    async def make_bucket(self, name: str) -> None:
        """Make a bucket with versions and object lock."""
        status, told = await self.ask("PUT", name, {"x-amz-bucket-object-lock-enabled": "true"})
        assert status == 200, told

    async def ask(
        self, method: str, path: str, fields: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, bytes]:
        async with self._client.request(
            method, f"{self.url}/{path}", headers={**_SIGNED, **fields}, data=body
        ) as response:
            return response.status, await response.read()

    async def lock_of(self, path: str) -> str | None:
        """Return the mode in which an object is locked; None if it is not."""
        async with self._client.head(f"{self.url}/{path}", headers=_SIGNED) as response:
            return response.headers.get("x-amz-object-lock-mode")

    async def versions(self, bucket: str) -> list[tuple[str, str]]:
        """Return key and id of each version in *bucket*, the oldest of a key last."""
        _, listed = await self.ask("GET", f"{bucket}?versions", {})
        found = ET.fromstring(listed).iter(f"{_SPACE}Version")
        return [
            (str(one.findtext(f"{_SPACE}Key")), str(one.findtext(f"{_SPACE}VersionId")))
            for one in found
        ]


def _started(port: int) -> "subprocess.Popen[bytes]":
    nowhere = subprocess.DEVNULL
    command = (environment(LOCK) / "moto_server", "-H", "127.0.0.1", "-p", str(port))
    return subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere)


@asynccontextmanager
async def moto_server() -> AsyncIterator[MotoServer]:
    """Run moto."""
    port = free_port()
    process = _started(port)

    async def look() -> bool:
        return is_listening(port)

    try:
        await eventually(look)
        async with ClientSession() as client:
            yield MotoServer(port, client)
    finally:
        process.kill()
        process.wait()
