"""`verify` on real tables: each way to tamper with the audit log is found, with log and place."""

import asyncio
from datetime import datetime

import pytest

from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from tests.neighbours.fleet import Fleet
from tests.neighbours.postgres import fresh_database
from tests.neighbours.records import a_record, a_tool_call
from tests.neighbours.seal_attacks import ATTACKS, forge
from tests.neighbours.sealed_logs import SealedLog, write_anchor, write_policy

ROWS = 1_200


@pytest.fixture(scope="module")
def made(module_database_url, tmp_path_factory):
    """A database to be copied, and its logs."""
    logs = [SealedLog(f"sidecar-{number}") for number in range(3)]

    async def make() -> None:
        async with open_database(module_database_url, application="test") as database:
            for log in logs:
                log.many(ROWS)
                log.checkpoint()
                await log.store(database)

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


async def test_what_is_intact_is_genuine_and_complete(fleet):
    found = await fleet.verify()

    assert (found.status, found.findings, found.remarks) == (0, [], {})
    for log in fleet.logs:
        told = found.of(log)
        assert told["proved"] == told["size"] == log.size
        assert told["rows"] == ROWS
        assert len(told["words"]) == 1
        assert datetime.fromisoformat(told["complete_until"]) <= log.now


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_an_attack_is_found_at_its_place(fleet, attack):
    traces = await attack(fleet)

    found = await fleet.verify()

    assert found.status == 1
    of_log = {one["kind"] for one in found.of(traces.log)["findings"]}
    assert of_log <= traces.kinds
    assert of_log & traces.kinds
    for place in traces.places:
        assert found.covers(traces.log, place)
    assert all(not found.of(log)["findings"] for log in fleet.logs if log is not traces.log)


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ("mcp_tool_invocation", "tool = 'another'"),
        ("mcp_tool_invocation", "api_calls = 99"),
        ("mcp_audit_gap", "count = 1"),
        ("mcp_audit_gap", "reason = 'nothing'"),
        ("mcp_audit_log", "created_at = '-infinity'"),
        ("mcp_audit_log", "created_at = 'infinity'"),
        ("mcp_audit_log", "created_at = '4000-01-01 BC'"),
        ("mcp_audit_log", "duration_ms = 'NaN'"),
        ("mcp_audit_log", "client_ip = set_masklen(coalesce(client_ip, '10.0.0.1'), 8)"),
    ],
)
async def test_an_altered_row_of_any_table_is_found(fleet, table, value):
    log = fleet.logs[0]
    [[place]] = await fleet.database.fetch(
        f"SELECT min(seq) FROM {table} WHERE log = $1 AND seq > 255", log.log
    )
    await fleet.database.execute(
        f"UPDATE {table} SET {value} WHERE log = $1 AND seq = $2", log.log, place
    )

    found = await fleet.verify()

    assert (found.status, found.kinds) == (1, {"altered"})
    assert found.covers(log, place) == {"altered"}


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("mcp_audit_seal_log", ["ALTER COLUMN key TYPE bytea USING key::bytea"]),
        ("mcp_audit_seal_log", ["ALTER COLUMN key DROP NOT NULL", "key = NULL"]),
        ("mcp_audit_seal_checkpoint", ["ALTER COLUMN note DROP NOT NULL", "note = NULL"]),
        ("mcp_audit_seal_note", ["ALTER COLUMN data DROP NOT NULL", "data = NULL"]),
        ("mcp_audit_gap", ["ALTER COLUMN seq TYPE text"]),
    ],
)
async def test_a_column_of_another_type_is_said_in_one_line(fleet, table, changes):
    for change in changes:
        begin = f"ALTER TABLE {table}" if change.startswith("ALTER") else f"UPDATE {table} SET"
        await fleet.database.execute(f"{begin} {change}")

    code, _, said = await fleet.run()

    assert code == 2
    assert said.startswith("The tables are not as `podwarden-audit migrate` makes them")


async def test_a_forged_row_without_a_place_is_found(fleet):
    log = fleet.logs[0]
    id_ = await forge(fleet, log, None)

    found = await fleet.verify()

    assert found.status == 1
    [finding] = found.of(log)["findings"]
    assert finding["kind"] == "inserted"
    assert str(id_) in finding["what"]


async def test_forged_rows_of_a_sidecar_that_no_log_is_of_are_told(fleet):
    made = fleet.logs[0].now
    await Store(fleet.database).append([a_record(instance="elsewhere", created_at=made)])
    call = a_tool_call(instance="elsewhere", created_at=made)
    await Store(fleet.database).append_invocations([call])

    found = await fleet.verify()

    assert (found.status, found.remarks) == (0, {"not_sealed": 1, "calls_not_sealed": 1})


@pytest.mark.parametrize("moment", ["1969-06-01Z", "-infinity", "2100-01-01Z", "infinity"])
async def test_a_row_behind_the_newest_checkpoint_whose_time_cannot_be_is_not_proved(
    fleet, moment
):
    log = fleet.logs[0]
    ids = [await forge(fleet, log, log.size + behind) for behind in (5, 9)]
    await fleet.database.execute(
        "UPDATE mcp_audit_log SET created_at = $2::text::timestamptz WHERE id = ANY($1)",
        ids,
        moment,
    )

    found = await fleet.verify()

    assert (found.status, found.kinds) == (2, {"not_proved"})
    assert found.covers(log, log.size + 5) == {"not_proved"}


async def test_a_log_of_a_key_that_is_not_trusted_is_told(fleet):
    forger = SealedLog("sidecar-0")
    forger.many(300)
    forger.checkpoint()
    await forger.store(fleet.database)

    found = await fleet.verify()

    assert (found.status, found.kinds) == (2, {"unknown_log"})
    assert any(forger.vkey in finding["what"] for finding in found.findings)


async def test_a_fork_is_told_with_both_notes(fleet):
    traces = await ATTACKS["a_log_signs_two_trees_of_one_size"](fleet)

    _, out, _ = await fleet.run("--anchor", str(fleet.anchor))

    log = traces.log
    assert out.count(f"      {log.origin}\n      {log.size + 1}\n") == 2
    assert out.splitlines()[-1].startswith("TAMPERED: 3 logs")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE mcp_audit_seal_checkpoint SET arrived_at = 'infinity'",
        "UPDATE mcp_audit_seal_checkpoint SET arrived_at = '-infinity'",
        (
            "INSERT INTO mcp_audit_seal_anchor SELECT log, size, 'a', 'b', 'infinity' FROM"
            " mcp_audit_seal_checkpoint"
        ),
        (
            "INSERT INTO mcp_audit_seal_note SELECT log, 9223372036854775807, 9223372036854775807,"
            " '[]' FROM mcp_audit_seal_log"
        ),
    ],
)
async def test_values_that_no_sidecar_writes_do_not_hide_an_attack(fleet, statement):
    await fleet.database.execute(statement)
    await fleet.database.execute("UPDATE mcp_audit_log SET method = 'PUT' WHERE seq = 300")

    found = await fleet.verify()

    assert (found.status, found.kinds) == (1, {"altered"})
    for log in fleet.logs:
        assert found.covers(log, 300) == {"altered"}


async def test_what_the_database_says_cannot_steer_the_terminal(fleet):
    told = "\x1b[2Jgenuine and complete\r\n\u202e"
    await fleet.database.execute(
        "INSERT INTO mcp_audit_seal_log VALUES (7, $1, 'key', 'sidecar', 0)", told
    )

    status, out, _ = await fleet.run("--anchor", str(fleet.anchor))

    assert status == 2
    assert all(line.isprintable() for line in out.split("\n"))
    assert r"\x1b[2Jgenuine and complete\r\n\u202e" in out
