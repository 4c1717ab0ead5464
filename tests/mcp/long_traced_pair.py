"""Ties of the official SDK's pair, traced or not. Collected by name alone: takes minutes.

The figures of docs/watch.md are what this file logs:
`pytest tests/mcp/long_traced_pair.py -o log_cli=true -o log_cli_level=INFO`. TRACED_PAIR_PYTHON
names an interpreter that has REQUIREMENTS; without it an environment is made from the registry.
"""

import asyncio
import logging
import os
import subprocess
import venv
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession

from tests.mcp.invocations import entries
from tests.neighbours.program import CHECKOUT
from tests.neighbours.sidecar import serving_sidecar

REQUIREMENTS: Final = (
    "mcp==2.3.0",
    "opentelemetry-sdk==1.45.1",
    "opentelemetry-instrumentation-asgi==0.66b1",
    "opentelemetry-instrumentation-httpx==0.66b1",
    "httpx==0.28.1",
)
CALLS: Final = 100
CLIENTS: Final = {
    "untraced": (),
    "field": ("header",),
    "_meta": ("meta",),
    "both": ("header", "meta"),
}
KINDS: Final = ("instrumented", "outbound", "plain")
said = logging.getLogger(__name__)
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the SDK and OpenTelemetry's instrumentation."""
    if given := os.environ.get("TRACED_PAIR_PYTHON"):
        return Path(given)
    place = tmp_path_factory.mktemp("traced-pair")
    venv.create(place, with_pip=True)
    subprocess.run([place / "bin" / "pip", "install", "--quiet", *REQUIREMENTS], check=True)
    return place / "bin" / "python"


def script(name: str) -> Path:
    return CHECKOUT / "tests" / "neighbours" / f"{name}.py"


@asynccontextmanager
async def served(python: Path, kind: str) -> AsyncIterator[tuple[str, asyncio.StreamWriter]]:
    """Yield the URL of a server, and where to write the URL of its API."""
    server = await asyncio.create_subprocess_exec(
        python, script("traced_server"), kind, stdin=PIPE, stdout=PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        port = int(await server.stdout.readline())
        yield f"http://127.0.0.1:{port}", server.stdin
    finally:
        server.terminate()
        await server.communicate()


async def call_tools(python: Path, url: str, secret: str, *how: str, lanes: int) -> None:
    """Have the client make CALLS tool calls."""
    given = [url, secret, str(CALLS), str(lanes), *how]
    client = await asyncio.create_subprocess_exec(python, script("traced_client"), *given)
    assert await client.wait() == 0


async def report(url: str) -> tuple[int, Counter[str]]:
    """Return how many API calls have arrived at *url*, and its spans by their names.

    The spans of single messages of ASGI are left out: their number varies.
    """
    async with ClientSession() as http, http.get(f"{url}/report") as response:
        told = await response.json()
    spans = [name for name in told["spans"] if not name.endswith((" http send", " http receive"))]
    return told["api_calls"], Counter(spans)


def judged(rows: list[Any]) -> tuple[Counter[str], list[Any]]:
    """Return how the rows are tied, and those that are tied wrongly."""
    given = Counter(row["attribution"] or "none" for row in rows)
    wrong = [row for row in rows if row["tool"] not in {None, row["path"].split("/")[3]}]
    return given, wrong


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("kind", KINDS)
async def test_no_exact_tie_of_the_pair_is_wrong_nor_one_of_the_clients_own_calls(
    python, database_url, database, secret, kind, client, lanes
):
    """Tools call the API after their response as well; that alone may be inferred wrongly."""
    is_traced = bool(CLIENTS[client])
    how = [*CLIENTS[client], "later", *(["own"] if is_traced else [])]
    async with served(python, kind) as (url, api), serving_sidecar(url, database_url) as sidecar:
        api.write(f"{sidecar.url}\n".encode())
        await call_tools(python, sidecar.url, secret, *how, lanes=lanes)
        made, _ = await report(url)
        rows = await entries(database, made)

    own, own_wrong = judged([row for row in rows if row["path"].split("/")[3] == "own"])
    given, wrong = judged([row for row in rows if row["path"].split("/")[3] != "own"])
    said.info("%s, %s, %d at a time: %s, own: %s", kind, client, lanes, dict(given), dict(own))
    assert own_wrong == []
    assert own["exact"] == own["inferred"] == 0
    assert {row["attribution"] for row in wrong} <= {"inferred"}
    assert all(row["path"].endswith("/99") for row in wrong)
    if kind == "instrumented":
        assert set(given) == {"exact"}


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_server_that_follows_its_parent_records_as_many_spans_as_without_us(
    python, database_url, secret, client
):
    async with served(python, "instrumented") as (url, api):
        api.write(f"{url}\n".encode())
        await call_tools(python, url, secret, *CLIENTS[client], lanes=1)
        _, without = await report(url)
        async with serving_sidecar(url, database_url) as sidecar:
            await call_tools(python, sidecar.url, secret, *CLIENTS[client], lanes=1)
        _, with_us = await report(url)

    through = with_us - without
    said.info("%s: %d spans without us, %d through us", client, without.total(), through.total())
    assert through == without
    assert without["tools/call t0"] == 1
