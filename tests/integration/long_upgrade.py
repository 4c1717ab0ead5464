"""Upgrades, rollbacks and restores in full. Collected by name alone: they take a minute."""

import subprocess
from pathlib import Path

import pytest
from aiohttp import ClientSession

from audit_log.postgres.arrivals import Standpoint, read_on, snapshot_now
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.reading.sources import RECORDS
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.schema.migrate import migrations
from deploy.local.postgres import PostgresServer
from tests.integration.test_upgrade import audit_log, loses_nothing_on
from tests.neighbours.archives import unpacked
from tests.neighbours.audit_database import own_postgres
from tests.neighbours.patience import eventually
from tests.neighbours.postgres import fresh_database
from tests.neighbours.postgres_programs import run_program
from tests.neighbours.program import CHECKOUT
from tests.neighbours.records import a_record
from tests.neighbours.services import running_audit_api, running_sidecar
from tests.neighbours.upstream import Upstream

__all__ = ["audit_log"]  # a fixture


@pytest.mark.parametrize("number", range(len(migrations())))
async def test_a_sidecar_on_each_older_schema_loses_nothing(
    number: int, audit_log: Database, empty_database_url: str, upstream: Upstream
):
    await loses_nothing_on(number, audit_log, empty_database_url, upstream)


def git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, check=False)
    return done.stdout


def old_versions() -> list[str]:
    """Return the commit before each change of the migrations; none without history."""
    changes = git("log", "--reverse", "--format=%h", "--", "audit_log/schema/migrations")
    versions = [f"{commit}^" for commit in changes.decode().split()[1:]]
    # The very first had no audit API yet.
    return [version for version in versions if git("ls-tree", version, "audit_api/__main__.py")]


@pytest.fixture
def old_code(version: str, tmp_path: Path) -> Path:
    return unpacked(git("archive", version, "audit_log", "proxy", "audit_api"), tmp_path)


@pytest.mark.parametrize("version", old_versions())
async def test_an_older_version_goes_on_with_the_new_schema(
    old_code: Path, database: Database, database_url: str, upstream: Upstream
):
    """So a rollback of the services needs none of the schema."""
    _, secret = await TokenTable(database).create("laptop", "admin", 90)
    old = {"PYTHONPATH": str(old_code)}

    async with (
        ClientSession(headers={"Authorization": f"Bearer {secret}"}) as client,
        running_sidecar(upstream.url, database_url, **old) as sidecar,
        running_audit_api(database_url, **old) as audit_api,
    ):
        async with client.get(f"{sidecar.url}/api/v1/clusters") as response:
            assert response.status == 200

        async def entries() -> list[dict[str, object]]:
            async with client.get(f"{audit_api.url}/api/v1/settings/mcp-audit") as response:
                assert response.status == 200
                return list(await response.json())

        [entry] = await eventually(entries, sidecar.report)
    assert entry["token_name"] == "laptop"


async def test_a_backup_is_restored_into_another_server(
    database: Database, database_url: str, tmp_path: Path
):
    await Store(database).append([a_record(path=f"/{number}") for number in range(100)])
    file = str(tmp_path / "audit.dump")
    run_program("pg_dump", "-Fc", "-f", file, database_url)

    with own_postgres() as server:
        await _restored(server, file)


async def _restored(server: PostgresServer, file: str) -> None:
    async with fresh_database(server, template="template0") as url:
        run_program("pg_restore", "--exit-on-error", "--no-owner", "-d", url, file)
        async with open_database(url, application="test") as database:
            # As docs/upgrade.md has it.
            await database.execute("UPDATE mcp_audit_log SET appended_in = NULL")
            before = await snapshot_now(database)
            await Store(database).append([a_record(path="/after")])

            step = await read_on(database, RECORDS, Standpoint(before), limit=1000)
            rows = await database.fetch("SELECT FROM mcp_audit_log")
    assert [record.path for record in step.records] == ["/after"]
    assert len(rows) == 101
