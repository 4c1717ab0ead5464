"""Fourteen clients and bridges through the sidecar, and what is recorded of their calls.

Collected by name alone (`make conformance-clients`): it installs from the registries.
"""

from pathlib import Path
from typing import Any, Final

import pytest

from audit_log.postgres.database import Database
from audit_log.postgres.token_table import TokenTable
from tests.clients.clients import CLIENTS, Client
from tests.clients.environments import install
from tests.clients.playing import TOOLS, play, ports, serving_tools
from tests.neighbours.audit_api import asking_as_admin
from tests.neighbours.services import running_sidecar

_CALLS: Final = "/api/v1/settings/mcp-audit/invocations?limit=500"
_TABLE: Final = Path(__file__).with_name("expected.txt")
NOT_PLAYED: Final = "-"


def expected() -> dict[str, dict[str, str]]:
    """Return what is to be recorded, by client and kind."""
    lines = [line.split() for line in _TABLE.read_text().splitlines() if line[:1] not in {"", "#"}]
    (_, *kinds), *clients = lines
    assert kinds == list(TOOLS)
    return {name: dict(zip(TOOLS, cells, strict=True)) for name, *cells in clients}


@pytest.fixture(scope="module")
def _installed() -> None:
    install()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_the_calls_of_a_client_are_recorded_as_they_ended(
    client: Client, _installed, database: Database, database_url: str, report
):
    wanted = {kind: row for kind, row in expected()[client.name].items() if row != NOT_PLAYED}
    seen = await _played(client, list(wanted), database, database_url)
    async with (
        asking_as_admin(database, database_url) as audit_api,
        audit_api.get(_CALLS) as response,
    ):
        rows = await response.json()
    recorded = {kind: _told(rows, kind) for kind in wanted}
    report(client.name, wanted, recorded, seen)
    assert recorded == wanted


async def _played(
    client: Client, kinds: list[str], database: Database, database_url: str
) -> dict[str, str]:
    """Play *kinds*, each with a token of its own, named after it; return what the callers saw."""
    seen = {}
    server_port, port = ports()
    url = f"http://127.0.0.1:{port}"
    async with (
        serving_tools(client.server, server_port, url) as server,
        running_sidecar(f"http://127.0.0.1:{server_port}", database_url, PROXY_PORT=str(port)),
    ):
        for kind in kinds:
            _, secret = await TokenTable(database).create(kind, "operator", 90)
            try:
                seen[kind] = await play(client, kind, f"{url}/mcp", secret, server)
            except (TimeoutError, AssertionError) as error:
                seen[kind] = f"{type(error).__name__}: {error}"
    return seen


def _told(rows: list[dict[str, Any]], kind: str) -> str:
    """Return the outcomes of the calls of *kind*, each with the number of its API calls."""
    calls = [row for row in rows if row["token_name"] == kind]
    said = [f"{row['outcome']}+{row['api_calls']}".removesuffix("+0") for row in calls]
    return " ".join(reversed(said)) or "nothing"
