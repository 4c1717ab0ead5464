"""4,000 invented tokens, then one honest call: how many pass, and how long its record takes.

`FLOOD_BUILD=/path/to/a/checkout` floods the sidecar of another build, and only tells the figures
(`pytest -s`).
"""

import asyncio
import os
from collections import Counter
from time import monotonic
from typing import Any

from audit_log.tokens import new_secret
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.client import connected
from tests.neighbours.corpus import request
from tests.neighbours.few_files import sidecar_with_files
from tests.neighbours.hop import hop_to
from tests.neighbours.upstream import OK, responding

CONNECTIONS = 500
CALLS_EACH = 8
SECONDS_AWAY = 0.005
FILES = 4_096
PATIENCE_SECONDS = 600


def call(secret: str, path: bytes = b"/api/v1/hosts/0/") -> bytes:
    return request(b"GET " + path, b"Authorization: Bearer " + secret.encode())


async def flood(port: int) -> Counter[int]:
    met: Counter[int] = Counter()

    async def one_connection() -> None:
        async with connected(port) as client:
            for _ in range(CALLS_EACH):
                met[(await client.ask(call(new_secret()))).status] += 1

    await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS)))
    return met


async def written(database: Any, path: str) -> None:
    query = "SELECT 1 FROM mcp_audit_log WHERE path = $1"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await database.fetch(query, path):
            await asyncio.sleep(0.05)


async def test_a_flood_of_invented_tokens_passes_nowhere_and_holds_up_nobody(
    upstream, database, database_url
):
    build = os.environ.get("FLOOD_BUILD")
    upstream.plan(responding(OK))
    secret = await prepare_audit_log(database)
    async with hop_to(database_url) as far:
        far.seconds_away = SECONDS_AWAY
        elsewhere = {"PYTHONPATH": build} if build else {}
        async with sidecar_with_files(FILES, upstream.url, far.url, **elsewhere) as sidecar:
            async with connected(sidecar.port) as client:
                await client.ask(call(secret))
            began = monotonic()
            met = await flood(sidecar.port)
            flooded = monotonic() - began
            passed = len(upstream.calls) - 1
            began = monotonic()
            async with connected(sidecar.port) as client:
                assert (await client.ask(call(secret, b"/api/v1/honest"))).status == 200
            await written(database, "/api/v1/honest")
            seconds = monotonic() - began
    print(  # noqa: T201  the figures
        f"{build or 'this build'}: {sum(met.values())} invented tokens in {flooded:.1f} s,"
        f" responses {dict(met)}, {passed} reached the API;"
        f" an honest record took {seconds:.1f} s"
    )
    if not build:
        assert passed == 0
        assert seconds < flooded + 10
