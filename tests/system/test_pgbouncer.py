"""Both services behind Debian's pgbouncer, which lends a connection for one transaction."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pytest
from aiohttp import ClientSession

from audit_log.postgres.database import Database, open_database
from audit_log.postgres.token_table import TokenTable
from tests.neighbours.ops import recovered
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.services import running_audit_api, running_sidecar
from tests.neighbours.upstream import Upstream

SERVER_CONNECTIONS: Final = 2
CALLS: Final = 200


def started_as_nobody(*command: str) -> subprocess.Popen[bytes]:
    """Start *command*; not by the event loop, as uvloop starts no process of another user."""
    user = "nobody" if os.geteuid() == 0 else None
    return subprocess.Popen(command, user=user, stderr=subprocess.DEVNULL)


@asynccontextmanager
async def pgbouncer_before(url: str) -> AsyncIterator[str]:
    """Run pgbouncer in transaction mode; yield the URL of the same database behind it."""
    program = shutil.which("pgbouncer")
    assert program, "not installed: pgbouncer"
    server = urlsplit(url)
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as settings:
        settings.write(
            f"[databases]\n{server.path[1:]} = host={unquote(server.hostname or '')}"
            f" user={server.username} password={server.password}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"pool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\n"
            "auth_type = any\n"
        )
        settings.flush()
        if os.geteuid() == 0:
            shutil.chown(settings.name, "nobody")
        process = started_as_nobody(program, settings.name)
        try:

            async def answers() -> bool:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    return False
                writer.close()
                return True

            assert await eventually(answers)
            yield f"postgresql://{server.username}@127.0.0.1:{port}{server.path}"
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


@pytest.fixture
async def pooled_url(database_url: str) -> AsyncIterator[str]:
    async with pgbouncer_before(database_url) as url:
        yield url


async def test_both_services_work_behind_a_pooler(
    database: Database, pooled_url: str, upstream: Upstream
):
    async with open_database(pooled_url, application="test") as pooled:
        token, secret = await TokenTable(pooled).create("laptop", "admin", 90)
    fields = {"Authorization": f"Bearer {secret}"}
    async with (
        running_sidecar(upstream.url, pooled_url) as sidecar,
        running_sidecar(upstream.url, pooled_url) as another,
        running_audit_api(pooled_url) as audit_api,
        ClientSession(headers=fields) as client,
    ):

        async def call(url: str) -> int:
            async with client.get(url) as answer:
                return answer.status

        for number in range(CALLS):
            assert await call(f"{(sidecar, another)[number % 2].url}/api/v1/{number}") == 200

        async def entries() -> list[Any]:
            async with client.get(
                f"{audit_api.url}/api/v1/settings/mcp-audit?limit=500"
            ) as answer:
                found = await answer.json()
            return found if len(found) == CALLS else []

        found = await eventually(entries, sidecar.report)
        assert {entry["token_name"] for entry in found} == {"laptop"}
        assert len({entry["path"] for entry in found}) == CALLS
        await recovered(sidecar)

        for _ in range(SERVER_CONNECTIONS + 1):
            async with client.get(f"{audit_api.url}/api/v1/settings/mcp-audit/export") as answer:
                assert (await answer.text()).count("\n") == CALLS

        # No notification passes a pooler: the poll finds out.
        await TokenTable(database).revoke(token.id)

        async def is_refused() -> bool:
            return await call(f"{sidecar.url}/api/v1/late") == 401

        assert await eventually(is_refused, sidecar.report)
        [row] = await database.fetch(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert row["count"] <= SERVER_CONNECTIONS
