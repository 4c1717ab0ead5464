"""The documented behaviour, end to end: real client, server, sidecar, database and reader."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from audit_log.postgres.database import Database, open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.tokens import ROLES, Token
from tests.neighbours.demo import mcp_client, running_demo
from tests.neighbours.services import running_audit_api, running_sidecar

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODES = ("legacy", "2026-07-28")
WORKLOAD = {"assignment_id": "gitea-edge"}
ENTRY_SECONDS = 10
DOCUMENTED_KEYS = ["id", "token_name", "method", "path", "status_code", "created_at"]
DOCUMENTED_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")
DOCUMENTED_DELETE = "DELETE FROM mcp_audit_log WHERE created_at < NOW() - INTERVAL '90 days';"


@dataclass(frozen=True)
class Services:
    """The sidecar before a demo PodWarden, the audit API, and a client."""

    proxy_url: str
    audit_api_url: str
    http: ClientSession


@dataclass(frozen=True)
class Installation:
    """Running services, and a token of each role."""

    services: Services
    tokens: dict[str, tuple[Token, str]]

    @property
    def proxy_url(self) -> str:
        return self.services.proxy_url

    @property
    def audit_api_url(self) -> str:
        return self.services.audit_api_url

    def secret(self, role: str) -> str:
        return self.tokens[role][1]

    def paths(self, role: str) -> list[str]:
        """The two documented questions: of all tokens, and of the token with *role*."""
        token_id = self.tokens[role][0].id
        return [
            "/api/v1/settings/mcp-audit?limit=100",
            f"/api/v1/settings/mcp-tokens/{token_id}/audit?limit=100",
        ]

    async def get(self, url: str, role: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.secret(role)}"}
        async with self.services.http.get(url, headers=headers) as response:
            return response.status, await response.json()

    async def entries(self, count: int, role: str = "operator") -> list[dict[str, Any]]:
        """Return the entries of the token with *role*, once there are *count*."""
        async with asyncio.timeout(ENTRY_SECONDS):
            while True:
                # Asked directly: through the proxy, asking would leave entries too.
                _, entries = await self.get(self.audit_api_url + self.paths(role)[1], "admin")
                if len(entries) >= count:
                    return list(entries)
                await asyncio.sleep(0.02)  # nothing outside the database tells of an entry


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(module_database_url: str) -> AsyncIterator[Database]:
    async with open_database(module_database_url, application="test") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(module_database_url: str) -> AsyncIterator[Services]:
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        podwarden = f"http://127.0.0.1:{listener.getsockname()[1]}"
        audit_api = await stack.enter_async_context(running_audit_api(module_database_url))
        sidecar = await stack.enter_async_context(
            running_sidecar(podwarden, module_database_url, PROXY_AUDIT_API_URL=audit_api.url)
        )
        await stack.enter_async_context(running_demo(listener, sidecar.url, module_database_url))
        http = await stack.enter_async_context(ClientSession())
        yield Services(sidecar.url, audit_api.url, http)


@pytest_asyncio.fixture(loop_scope="module")
async def installation(services: Services, database: Database) -> Installation:
    """The services of the module, with tokens that no other test has used."""
    table = TokenTable(database)
    return Installation(
        services, {role: await table.create(f"my-{role}", role, 90) for role in ROLES}
    )


@pytest.mark.parametrize("mode", MODES)
async def test_each_tool_leaves_as_many_entries_as_it_makes_api_calls(installation, mode):
    async with mcp_client(installation.proxy_url, installation.secret("operator"), mode) as client:
        assert not (await client.call_tool("list_clusters", {})).is_error
        assert not (await client.call_tool("deploy_workload", WORKLOAD)).is_error
        assert not (await client.call_tool("troubleshoot_workload", WORKLOAD)).is_error

    entries = await installation.entries(6)

    assert [(entry["method"], entry["path"], entry["status_code"]) for entry in entries] == [
        ("GET", "/api/v1/assignments/gitea-edge/logs", 200),
        ("GET", "/api/v1/clusters/edge", 200),
        ("GET", "/api/v1/definitions/gitea", 200),
        ("GET", "/api/v1/assignments/gitea-edge", 200),
        ("POST", "/api/v1/assignments/gitea-edge/deploy", 202),
        ("GET", "/api/v1/clusters", 200),
    ]
    assert {entry["token_name"] for entry in entries} == {"my-operator"}


async def test_a_tool_that_fails_leaves_the_refusal_it_met(installation):
    async with mcp_client(
        installation.proxy_url, installation.secret("operator"), "legacy"
    ) as client:
        response = await client.call_tool("restart_host", {"host_id": "edge-03"})

    [entry] = await installation.entries(1)

    assert response.is_error
    assert (entry["path"], entry["status_code"]) == ("/api/v1/hosts/edge-03/restart", 409)


@pytest.mark.parametrize("through", ["proxy", "audit API"])
async def test_both_questions_answer_in_the_documented_shape(installation, through):
    origin = installation.proxy_url if through == "proxy" else installation.audit_api_url
    await installation.get(f"{installation.proxy_url}/api/v1/hosts", "operator")
    [written] = await installation.entries(1)

    for path in installation.paths("operator"):
        status, entries = await installation.get(origin + path, "admin")

        [entry] = [entry for entry in entries if entry["id"] == written["id"]]
        assert status == 200
        assert list(entry) == DOCUMENTED_KEYS
        assert entry["path"] == "/api/v1/hosts"
        assert str(UUID(entry["id"])) == entry["id"]
        assert entry["token_name"] == "my-operator"
        assert (entry["method"], entry["status_code"]) == ("GET", 200)
        assert DOCUMENTED_TIME.fullmatch(entry["created_at"])


@pytest.mark.parametrize(
    ("role", "expected"), [("viewer", 403), ("operator", 403), ("admin", 200)]
)
async def test_only_an_admin_may_read_the_audit_log(installation, role, expected):
    for origin in (installation.proxy_url, installation.audit_api_url):
        for path in installation.paths("operator"):
            status, _ = await installation.get(origin + path, role)
            assert status == expected


async def test_the_documented_clean_up_deletes_what_is_older_and_nothing_else(
    installation, database
):
    await installation.get(f"{installation.proxy_url}/api/v1/hosts", "operator")
    [entry] = await installation.entries(1)
    await installation.get(f"{installation.proxy_url}/api/v1/clusters", "operator")
    await installation.entries(2)
    await database.execute(
        "UPDATE mcp_audit_log SET created_at = NOW() - INTERVAL '91 days' WHERE id = $1",
        UUID(entry["id"]),
    )

    await database.execute(DOCUMENTED_DELETE)

    assert [entry["path"] for entry in await installation.entries(1)] == ["/api/v1/clusters"]
