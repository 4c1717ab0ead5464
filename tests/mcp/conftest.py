"""A sidecar before an MCP server whose tools call the API through it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from audit_log.postgres.database import Database
from audit_log.postgres.token_table import TokenTable
from tests.neighbours.mcp_server import McpServer, running_mcp_server
from tests.neighbours.sidecar import Sidecar, serving_sidecar


@pytest_asyncio.fixture
async def secret(database: Database) -> str:
    """The secret of a token."""
    return (await TokenTable(database).create("laptop", "operator", 90))[1]


@pytest_asyncio.fixture
async def mcp_server() -> AsyncIterator[McpServer]:
    async with running_mcp_server() as server:
        yield server


@pytest_asyncio.fixture
async def mcp_sidecar(mcp_server: McpServer, database_url: str) -> AsyncIterator[Sidecar]:
    """A sidecar before `mcp_server`, whose tools call the API through it."""
    async with serving_sidecar(mcp_server.url, database_url) as sidecar:
        mcp_server.tools.api_url = sidecar.url
        yield sidecar
