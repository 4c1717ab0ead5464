"""Today's services on a schema that is older: nothing is lost, and they say what to do."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
from aiohttp import ClientSession

from audit_log.postgres.database import Database, open_database
from audit_log.schema.migrate import migrate, migrations
from audit_log.tokens import DEFAULT_TOKEN_QUERY, hash_token
from tests.neighbours.hop import hop_to
from tests.neighbours.old_schema import migrate_up_to
from tests.neighbours.ops import degraded, recovered
from tests.neighbours.patience import eventually
from tests.neighbours.services import Service, refusing_port, running_audit_api, running_sidecar
from tests.neighbours.upstream import Upstream

SECRET: Final = "pwm_of-an-old-installation"
BEFORE_TOKENS: Final = 3
"""Until then no record can be named, so all wait."""
LATEST_BUT_ONE: Final = len(migrations()) - 1


@pytest.fixture
async def audit_log(empty_database_url: str) -> AsyncIterator[Database]:
    async with open_database(empty_database_url, application="test") as database:
        yield database


@pytest.mark.parametrize("number", [0, LATEST_BUT_ONE])
async def test_a_sidecar_on_an_older_schema_loses_nothing(
    number: int, audit_log: Database, empty_database_url: str, upstream: Upstream
):
    await loses_nothing_on(number, audit_log, empty_database_url, upstream)


async def loses_nothing_on(number: int, audit_log: Database, url: str, upstream: Upstream) -> None:
    """Call a sidecar on the schema of *number* migrations, migrate, and find each call once."""
    await migrate_up_to(audit_log, number)
    await _add_token(audit_log)
    async with hop_to(url) as hop, running_sidecar(upstream.url, hop.url) as sidecar:
        await _call(sidecar, "/api/v1/old")
        if number <= BEFORE_TOKENS:
            await degraded(sidecar, because="run `python -m audit_log migrate`")
        else:
            assert await eventually(lambda: _paths(audit_log, 1), sidecar.report)

        # Within reach of the sidecar, the table of tokens would be there before the token is.
        with refusing_port() as nobody:
            hop.lead_to(f"postgresql://127.0.0.1:{nobody}")
            await migrate(audit_log)
            await _add_token(audit_log)
        hop.lead_to(url)

        await _call(sidecar, "/api/v1/new")
        assert await eventually(lambda: _paths(audit_log, 2), sidecar.report) == [
            ("/api/v1/old", "laptop"),
            ("/api/v1/new", "laptop"),
        ]
        await recovered(sidecar)


async def _paths(audit_log: Database, count: int) -> list[tuple[str, str]]:
    rows = await audit_log.fetch("SELECT path, token_name FROM mcp_audit_log ORDER BY created_at")
    return [(row["path"], row["token_name"]) for row in rows] if len(rows) == count else []


async def _add_token(audit_log: Database) -> None:
    """Add the token if there is a table for it, and it is not there yet."""
    row = await audit_log.fetch_row("SELECT to_regclass('mcp_tokens') IS NOT NULL")
    if row and row[0] and not await audit_log.fetch(DEFAULT_TOKEN_QUERY, hash_token(SECRET)):
        await audit_log.execute(
            "INSERT INTO mcp_tokens (id, name, role, token_hash, expires_at)"
            " VALUES (gen_random_uuid(), 'laptop', 'admin', $1, now() + interval '1 day')",
            hash_token(SECRET),
        )


async def _call(sidecar: Service, path: str) -> None:
    fields = {"Authorization": f"Bearer {SECRET}"}
    async with ClientSession(headers=fields) as client, client.get(sidecar.url + path) as response:
        assert response.status == 200


async def test_the_audit_api_says_that_the_schema_is_old(
    audit_log: Database, empty_database_url: str
):
    await migrate_up_to(audit_log, LATEST_BUT_ONE)
    async with running_audit_api(empty_database_url) as audit_api, ClientSession() as client:

        async def ready() -> tuple[int, str]:
            async with client.get(f"{audit_api.url}/readyz") as response:
                return response.status, " ".join((await response.json())["reasons"])

        status, reasons = await ready()
        assert status == 503
        assert "run `python -m audit_log migrate`" in reasons

        await migrate(audit_log)

        assert await ready() == (200, "")
