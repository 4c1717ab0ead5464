"""The audit API answers from a read replica, and says how far that is behind."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from audit_log.postgres.arrivals import Standpoint, read_on, snapshot_now
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.reading.sources import RECORDS
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from deploy.local.postgres import PostgresServer
from tests.neighbours.audit_api import ALL, serving_audit_api
from tests.neighbours.fleet import Fleet
from tests.neighbours.patience import eventually
from tests.neighbours.records import a_record
from tests.neighbours.replica import replica_of
from tests.neighbours.sealed_logs import SealedLog, write_anchor, write_policy


@pytest.fixture(scope="module")
def replica(postgres: PostgresServer) -> Iterator[PostgresServer]:
    with replica_of(postgres) as server:
        yield server


@asynccontextmanager
async def replicated(
    database_url: str, replica: PostgresServer
) -> AsyncIterator[tuple[Database, Database, str]]:
    """Yield the primary's database and the replica's, as soon as that has it, and its URL."""
    replica_url = replica.url(database_url.rpartition("/")[2])
    async with (
        open_database(database_url, application="test") as primary,
        open_database(replica_url, application="test") as copy,
        open_database(replica.url(), application="test") as server,
    ):

        async def is_there() -> bool:
            rows = await server.fetch(
                "SELECT FROM pg_database WHERE datname = $1", database_url.rpartition("/")[2]
            )
            return bool(rows)

        assert await eventually(is_there)
        yield primary, copy, replica_url


async def readiness(client: ClientSession) -> tuple[int, dict[str, Any]]:
    async with client.get("/readyz") as response:
        return response.status, await response.json()


async def test_questions_are_answered_from_the_replica_and_its_lag_is_told(
    database_url: str, replica: PostgresServer
):
    async with replicated(database_url, replica) as (primary, copy, replica_url):
        _, secret = await TokenTable(primary).create("laptop", "admin", 90)
        settings = {"database_url": replica_url, "max_lag_seconds": 0.2}
        async with serving_audit_api(database_url, **settings) as client:
            client.headers["Authorization"] = f"Bearer {secret}"

            async def entries() -> list[Any]:
                async with client.get(ALL) as response:
                    assert response.status == 200
                    return list(await response.json())

            async def is_ready() -> bool:
                return await readiness(client) == (
                    200,
                    {"status": "ready", "replica_lag_seconds": 0.0, "reasons": []},
                )

            assert await eventually(is_ready)
            await copy.execute("SELECT pg_wal_replay_pause()")
            try:
                await Store(primary).append([a_record()])

                async def is_behind() -> bool:
                    status, said = await readiness(client)
                    assert status == 200
                    return bool(said["status"] == "degraded" and "behind" in said["reasons"][0])

                assert await eventually(is_behind)
                assert await entries() == []
            finally:
                await copy.execute("SELECT pg_wal_replay_resume()")
            assert await eventually(entries)
            assert await eventually(is_ready)


async def test_a_replica_that_is_away_is_told(database_url: str):
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    async with serving_audit_api(database_url, database_url=nowhere) as client:
        status, said = await readiness(client)

    assert (status, said["reasons"]) == (503, ["the replica is out of reach: connection refused"])


async def test_what_was_under_way_at_a_replicas_snapshot_is_read_later(
    database_url: str, replica: PostgresServer
):
    async with replicated(database_url, replica) as (primary, copy, _):
        before = await snapshot_now(copy)
        late, early = a_record(path="/late"), a_record(path="/early")
        async with primary.transaction() as slow:
            await slow.execute(
                "INSERT INTO mcp_audit_log (id, token_name, method, path, status_code, created_at,"
                " outcome, instance) VALUES ($1, 'ci', 'GET', $2, 200, $3, 'completed', 'x')",
                late.id, late.path, late.created_at,
            )  # fmt: skip
            await Store(primary).append([early])

            async def has_early() -> bool:
                return bool(await copy.fetch("SELECT FROM mcp_audit_log WHERE path = '/early'"))

            assert await eventually(has_early)
            first = await read_on(copy, RECORDS, Standpoint(before), limit=10)

        async def has_late() -> bool:
            return bool(await copy.fetch("SELECT FROM mcp_audit_log WHERE path = '/late'"))

        assert await eventually(has_late)
        second = await read_on(copy, RECORDS, first.end, limit=10)

    paths = [record.path for step in (first, second) for record in step.records]
    assert sorted(paths) == ["/early", "/late"]


INSERT = """
INSERT INTO mcp_audit_log
    (id, token_name, method, path, status_code, created_at, outcome, instance)
VALUES ($1, 'ci', 'GET', $2, 200, $3, 'completed', 'x')
"""


async def exported(client: ClientSession, after: str | None) -> tuple[list[str], str]:
    """Return the paths of an export from *after*, and its mark."""
    query = {"after": after} if after else {}
    async with client.get(ALL + "/export", params=query) as response:
        assert response.status == 200, await response.text()
        lines = (await response.text()).splitlines()
        return [json.loads(line)["path"] for line in lines], response.headers["X-Audit-Mark"]


async def test_exports_of_a_replica_repeat_nothing_though_a_transaction_stays_open(
    database_url: str, replica: PostgresServer
):
    async with replicated(database_url, replica) as (primary, copy, replica_url):
        _, secret = await TokenTable(primary).create("laptop", "admin", 90)
        late, early = a_record(path="/late"), a_record(path="/early")
        async with serving_audit_api(database_url, database_url=replica_url) as client:
            client.headers["Authorization"] = f"Bearer {secret}"
            async with primary.transaction() as slow:
                await slow.execute(INSERT, late.id, late.path, late.created_at)
                async with open_database(database_url, application="writer") as writer:
                    await Store(writer).append([early])

                async def has_early() -> bool:
                    return bool(await copy.fetch("SELECT FROM mcp_audit_log"))

                async def what_it_waits_for() -> str | None:
                    status, said = await readiness(client)
                    assert status == 200
                    told = [why for why in said["reasons"] if "of the primary" in why]
                    return told[0] if told and said["status"] == "degraded" else None

                assert await eventually(has_early)
                first, mark = await exported(client, None)
                second, mark = await exported(client, mark)
                assert "live streams and exports wait" in await eventually(what_it_waits_for)

            async def has_both() -> bool:
                return len(await copy.fetch("SELECT FROM mcp_audit_log")) == 2

            async def waits_for_nothing() -> bool:
                return bool((await readiness(client))[1]["reasons"] == [])

            assert await eventually(has_both)
            third, mark = await exported(client, mark)
            fourth, _ = await exported(client, mark)
            assert await eventually(waits_for_nothing)

    assert sorted(first + second + third) == ["/early", "/late"]
    assert fourth == []


async def test_verify_does_not_call_a_replica_that_lags_behind_an_older_state(
    database_url: str, replica: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    log = SealedLog()
    async with replicated(database_url, replica) as (primary, copy, replica_url):
        log.many(300)
        log.checkpoint()
        await log.store(primary)
        policy = write_policy(tmp_path / "policy", [log])
        anchor = write_anchor(tmp_path / "anchor", [log])
        fleet = Fleet(replica_url, copy, [log], policy, anchor, capsys)
        await fleet.has_signed(log.size)
        since = ["--since", str(tmp_path / "state")]
        caught_up = await fleet.verify(*since)
        await copy.execute("SELECT pg_wal_replay_pause()")
        try:
            log.many(20)
            log.checkpoint()
            await log.store(primary)
            write_anchor(anchor, [log])
            behind = await fleet.verify(*since)
        finally:
            await copy.execute("SELECT pg_wal_replay_resume()")

    assert (caught_up.status, caught_up.findings) == (0, [])
    assert (behind.status, behind.kinds) == (2, {"not_arrived"})
    assert "replica" in behind.findings[0]["what"]
