"""The audit API inside the test's own loop, on a real database, and records to ask it for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from aiohttp import ClientSession, TCPConnector

from audit_api.app import serving
from audit_api.settings import AuditApiSettings
from audit_log.postgres.database import Database
from audit_log.postgres.token_table import TokenTable
from audit_log.process.settings import AuditLogSettings
from audit_log.record import AuditRecord, Outcome, new_record_id
from tests.neighbours.in_loop import overhearing

ALL: Final = "/api/v1/settings/mcp-audit"
GAPS: Final = "/api/v1/settings/mcp-audit/gaps"

NOBODY: Final = UUID("0198d5b0-6f00-7c3e-8a52-000000000000")
"""The id of no token."""


def of_token(token_id: object) -> str:
    """Return the path of the entries of one token."""
    return f"/api/v1/settings/mcp-tokens/{token_id}/audit"


@asynccontextmanager
async def url_of_audit_api(database_url: str, /, **settings: Any) -> AsyncIterator[str]:
    """Run the audit API; yield its URL.

    On leaving it must have logged events only, and must leave no task behind.
    """
    shared = AuditLogSettings(database_url=database_url)
    async with (
        overhearing(),
        serving(shared, AuditApiSettings(port=0, **settings)) as address,
    ):
        yield f"http://{address.host}:{address.port}"


@asynccontextmanager
async def serving_audit_api(database_url: str, /, **settings: Any) -> AsyncIterator[ClientSession]:
    """Run the audit API; yield a client that talks to it and keeps no cookies."""
    async with (
        url_of_audit_api(database_url, **settings) as url,
        ClientSession(url, connector=TCPConnector(limit=0)) as client,
    ):
        yield client


@asynccontextmanager
async def asking_as_admin(
    database: Database, database_url: str, **settings: Any
) -> AsyncIterator[ClientSession]:
    """Run the audit API; yield a client that shows the token of an admin."""
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    async with serving_audit_api(database_url, **settings) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        yield client


def record(**fields: Any) -> AuditRecord:
    """Return a record of an ordinary call, save for *fields*."""
    ordinary: dict[str, Any] = {
        "id": new_record_id(),
        "created_at": datetime(2026, 2, 28, 3, 42, tzinfo=UTC),
        "method": "GET",
        "path": "/api/v1/clusters",
        "status_code": 200,
        "outcome": Outcome.COMPLETED,
        "instance": "test",
        "token_name": "claude",
    }
    return AuditRecord(**(ordinary | fields))


async def asked(api: ClientSession, path: str, status: int = 200) -> Any:
    """Return the JSON in the response to a question, which has *status*."""
    async with api.get(path) as response:
        assert response.status == status, await response.text()
        return await response.json()
