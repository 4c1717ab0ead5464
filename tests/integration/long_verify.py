"""`verify` on 100,000 rows of three sidecars: all attacks, honest retention, and the rate."""

import asyncio
import time

import pytest

from audit_log.postgres.database import open_database
from tests.neighbours.fleet import Fleet
from tests.neighbours.postgres import fresh_database
from tests.neighbours.seal_attacks import ATTACKS
from tests.neighbours.sealed_logs import SealedLog, write_anchor, write_policy

SIZES = (70_000, 14_000, 16_000)
"""One has a tile of level 1."""


@pytest.fixture(scope="module")
def made(module_database_url, tmp_path_factory):
    logs = [SealedLog(f"sidecar-{number}") for number in range(3)]

    async def make() -> None:
        async with open_database(module_database_url, application="test") as database:
            for log, rows in zip(logs, SIZES, strict=True):
                for _ in range(10):
                    log.many(rows // 10)
                    log.checkpoint()
                    await log.store(database)
            await database.execute("ANALYZE")

    asyncio.run(make())
    directory = tmp_path_factory.mktemp("verify")
    policy = write_policy(directory / "policy", logs)
    return module_database_url, logs, policy, write_anchor(directory / "anchor", logs)


@pytest.fixture
async def fleet(postgres, made, capsys):
    made_url, logs, policy, anchor = made
    async with (
        fresh_database(postgres, template=made_url.rpartition("/")[2]) as url,
        open_database(url, application="test") as database,
    ):
        yield Fleet(url, database, logs, policy, anchor, capsys)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_an_attack_is_found_at_its_place(fleet, attack):
    traces = await attack(fleet)

    found = await fleet.verify()

    assert found.status == 1
    of_log = {one["kind"] for one in found.of(traces.log)["findings"]}
    assert of_log <= traces.kinds
    for place in traces.places:
        assert found.covers(traces.log, place)
    assert all(not found.of(log)["findings"] for log in fleet.logs if log is not traces.log)


@pytest.mark.timeout(600)
async def test_what_is_intact_is_genuine_at_a_good_rate(fleet, tmp_path):
    since = ["--silent-minutes", "0", "--since", str(tmp_path / "since")]
    # An hour before the last checkpoint is read again, and all of these rows are younger.
    async with fleet.database.transaction(statement_seconds=300) as transaction:
        for table in ("mcp_audit_log", "mcp_tool_invocation"):
            await transaction.execute(
                f"UPDATE {table} SET arrived_at = arrived_at - interval '1 day'"
            )
    began = time.process_time()
    found = await fleet.verify(*since)
    spent = time.process_time() - began
    began = time.process_time()
    again = await fleet.verify(*since)
    spent_again = time.process_time() - began

    assert (found.status, found.findings, again.status) == (0, [], 0)
    assert sum(log["rows"] for log in found.told["logs"]) == sum(SIZES)
    assert spent_again < spent / 3
    rate = sum(SIZES) / spent
    assert rate > 10_000, f"{rate:.0f} rows/s of CPU"  # five times as many on an idle machine
