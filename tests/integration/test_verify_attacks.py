"""`verify` on real tables: each way to tamper with the audit log is found, with log and place."""

import asyncio
import copy
from datetime import datetime, timedelta

import pytest

from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.seal.keys import SignerKey
from audit_log.seal.tree import leaf_hash
from audit_log.verify.stored.stored_rows import Table, rows_at
from tests.neighbours.fleet import Fleet
from tests.neighbours.postgres import fresh_database
from tests.neighbours.records import a_record
from tests.neighbours.sealed_logs import SealedLog, write_anchor, write_policy

ROWS = 1_200
PLACE = 300
"""In the middle of a full tile; `many` puts a full entry there."""


@pytest.fixture(scope="module")
def made(module_database_url, tmp_path_factory):
    """A database to be copied, and its logs."""
    logs = [SealedLog(f"sidecar-{number}") for number in range(3)]
    older = tmp_path_factory.mktemp("older")

    async def make() -> None:
        async with open_database(module_database_url, application="test") as database:
            for log in logs:
                log.many(ROWS)
                log.checkpoint()
                await log.store(database)

    asyncio.run(make())
    directory = tmp_path_factory.mktemp("verify")
    policy = write_policy(directory / "policy", logs)
    anchor = write_anchor(directory / "anchor", logs)
    return module_database_url.rpartition("/")[2], logs, policy, anchor, older


@pytest.fixture
async def fleet(postgres, made, capsys):
    template, logs, policy, anchor, _ = made
    async with (
        fresh_database(postgres, template=template) as url,
        open_database(url, application="test") as database,
    ):
        yield Fleet(url, database, logs, policy, anchor, capsys)


async def entry_at(fleet, log, place):
    """Return a place from *place* on that an entry has, and its id."""
    [[seq, id_], *_] = await fleet.database.fetch(
        "SELECT seq, id FROM mcp_audit_log WHERE log = $1 AND seq >= $2 AND tool IS NOT NULL"
        " ORDER BY seq LIMIT 1",
        log.log,
        place,
    )
    return seq, id_


async def test_what_is_intact_is_genuine_and_complete(fleet):
    found = await fleet.verify()

    assert (found.status, found.findings) == (0, [])
    for log in fleet.logs:
        told = found.of(log)
        assert told["proved"] == told["size"] == log.size
        assert told["rows"] == ROWS
        assert len(told["words"]) == 1
        assert datetime.fromisoformat(told["complete_until"]) <= log.now


COLUMNS = {
    "created_at": "created_at - interval '1 second'",
    "method": "'PUT'",
    "path": "path || '/'",
    "status_code": "status_code + 1",
    "outcome": "'refused'",
    "instance": "instance || '2'",
    "token_id": "gen_random_uuid()",
    "token_name": "'somebody else'",
    "duration_ms": "duration_ms + 1",
    "client_ip": "'10.9.9.9'",
    "user_agent": "user_agent || ' '",
    "tool": "NULL",
    "invocation_id": "gen_random_uuid()",
    "attribution": "'inferred'",
    "request_id": "upper(request_id)",
    "id": "gen_random_uuid()",
}


async def test_each_column_that_was_changed_is_found_at_its_place(fleet):
    log = fleet.logs[1]
    places = {}
    for number, (column, value) in enumerate(COLUMNS.items()):
        place, id_ = await entry_at(fleet, log, 20 + 60 * number)
        await fleet.database.execute(
            f"UPDATE mcp_audit_log SET {column} = {value} WHERE id = $1", id_
        )
        places[column] = place

    found = await fleet.verify()

    assert found.status == 1
    assert all(found.covers(log, place) == {"altered"} for place in places.values())
    # The last ones lie in the open tile: there the roots tell no more than between which two.
    assert len(found.of(log)["findings"]) <= len(COLUMNS)
    assert not any(found.of(other)["findings"] for other in (fleet.logs[0], fleet.logs[2]))


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ("mcp_tool_invocation", "tool = 'another'"),
        ("mcp_tool_invocation", "api_calls = 99"),
        ("mcp_audit_gap", "count = 1"),
        ("mcp_audit_gap", "reason = 'nothing'"),
        ("mcp_audit_log", "created_at = '-infinity'"),
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

    assert found.status == 1
    assert found.covers(log, place) == {"altered"}


@pytest.mark.parametrize(
    ("condition", "kinds"),
    [
        ("seq = (SELECT min(seq) FROM mcp_audit_log WHERE log = $1 AND seq > 600)", {"deleted"}),
        ("seq = (SELECT max(seq) FROM mcp_audit_log WHERE log = $1)", {"deleted"}),
        ("seq >= (SELECT max(seq) FROM mcp_audit_log WHERE log = $1) - 500", {"deleted"}),
        ("true", {"deleted"}),
    ],
)
async def test_deleted_rows_are_found(fleet, condition, kinds):
    log = fleet.logs[2]
    gone = await fleet.database.fetch(
        f"DELETE FROM mcp_audit_log WHERE log = $1 AND {condition} RETURNING seq, created_at",
        log.log,
    )

    found = await fleet.verify()

    assert found.status == 1
    assert {kind for kind in found.kinds if kind != "not_proved"} == kinds
    deleted = [one for one in found.of(log)["findings"] if one["kind"] == "deleted"]
    for seq, created_at in gone:
        [one] = [one for one in deleted if one["first"] <= seq <= one["last"]]
        if one["since"] == one["until"] and one["first"] == one["last"]:
            assert one["since"] == created_at.replace(microsecond=0).isoformat().replace(
                "+00:00", "Z"
            )
    count = sum(one["last"] - one["first"] + 1 for one in deleted)
    assert count == len(gone)


async def test_all_that_the_database_has_of_a_log_being_gone_is_found(fleet):
    log = fleet.logs[2]
    for table in ("log", "invocation", "gap"):
        name = {"log": "mcp_audit_log", "invocation": "mcp_tool_invocation"}.get(
            table, "mcp_audit_gap"
        )
        await fleet.database.execute(f"DELETE FROM {name} WHERE log = $1", log.log)
    for table in ("log", "checkpoint", "tile", "note"):
        await fleet.database.execute(f"DELETE FROM mcp_audit_seal_{table} WHERE log = $1", log.log)

    found = await fleet.verify()

    assert found.status == 1
    assert found.covers(log, 0) == found.covers(log, log.size - 1) == {"rolled_back"}


async def test_a_forged_row_without_a_place_is_found(fleet):
    log = fleet.logs[0]
    forged = a_record(instance=log.instance, created_at=log.now - timedelta(seconds=20))
    await Store(fleet.database).append([forged])

    found = await fleet.verify()

    assert found.status == 1
    [finding] = found.of(log)["findings"]
    assert finding["kind"] == "inserted"
    assert str(forged.id) in finding["what"]


@pytest.mark.parametrize("place", [PLACE, 255, ROWS])
async def test_a_forged_row_with_a_place_that_is_taken_is_found(fleet, place):
    log = fleet.logs[0]
    forged = a_record(instance=log.instance, created_at=log.now, log=log.log, seq=place)
    await Store(fleet.database).append([forged])

    found = await fleet.verify()

    assert found.status == 1
    assert found.covers(log, place) <= {"taken_twice", "note_altered", "altered"}
    assert found.covers(log, place)


async def test_a_forged_row_far_behind_the_log_is_found(fleet):
    log = fleet.logs[0]
    forged = a_record(instance=log.instance, created_at=log.now, log=log.log, seq=1 << 40)
    await Store(fleet.database).append([forged])

    found = await fleet.verify()

    assert (found.status, found.covers(log, 1 << 40)) == (1, {"inserted"})


async def test_a_forged_row_in_a_log_of_its_own_is_told(fleet):
    forger = SealedLog("sidecar-0")
    forger.many(300)
    forger.checkpoint()
    await forger.store(fleet.database)

    found = await fleet.verify()

    assert (found.status, found.kinds) == (2, {"unknown_log"})
    assert any(forger.vkey in finding["what"] for finding in found.findings)


@pytest.mark.parametrize("places", [(300, 700), (310, 320), (1_190, 1_195)])
async def test_two_rows_that_were_swapped_are_found(fleet, places):
    log = fleet.logs[0]
    (first, one), (second, other) = [await entry_at(fleet, log, place) for place in places]
    for id_, place in ((one, -1), (other, first), (one, second)):
        await fleet.database.execute("UPDATE mcp_audit_log SET seq = $2 WHERE id = $1", id_, place)

    found = await fleet.verify()

    assert found.status == 1
    assert found.covers(log, first) & {"swapped", "altered"}
    assert found.covers(log, second) & {"swapped", "altered"}


async def test_a_row_and_its_stored_hash_that_were_rewritten_are_found(fleet):
    log = fleet.logs[0]
    place, id_ = await entry_at(fleet, log, PLACE)
    await fleet.database.execute("UPDATE mcp_audit_log SET method = 'PUT' WHERE id = $1", id_)
    await rewrite_hash(fleet, log, place)

    found = await fleet.verify()

    assert found.status == 1
    [finding] = [one for one in found.of(log)["findings"] if one["kind"] == "altered"]
    assert finding["first"] <= place <= finding["last"]
    assert finding["last"] - finding["first"] < 100  # between two checkpoints


async def rewrite_hash(fleet, log, place):
    """Put the hash of the row that is there now into the stored tile."""
    async with fleet.database.transaction() as transaction:
        [(_, sealed)] = await rows_at(transaction, Table.ENTRIES, log.log, [place])
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_tile SET hashes = overlay(hashes PLACING $3 FROM $4)"
        " WHERE log = $1 AND level = 0 AND number = $2",
        log.log,
        place // 256,
        leaf_hash(sealed.data),
        place % 256 * 32 + 1,
    )


async def test_a_stored_tile_that_was_replaced_is_found(fleet):
    log = fleet.logs[0]
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_tile SET hashes = (SELECT hashes FROM mcp_audit_seal_tile"
        " WHERE log = $1 AND number = 2 AND level = 0)"
        " WHERE log = $1 AND number = 1 AND level = 0",
        log.log,
    )

    found = await fleet.verify()

    assert (found.status, found.kinds) == (1, {"tile_altered"})
    assert found.covers(log, 256) == found.covers(log, 511) == {"tile_altered"}


async def test_a_checkpoint_of_another_key_is_found(fleet):
    log = fleet.logs[0]
    note = str(log.signed(SignerKey.new(log.origin)))
    await fleet.database.execute(
        "INSERT INTO mcp_audit_seal_checkpoint (log, size, note) VALUES ($1, $2, $3)",
        log.log,
        log.size,
        note,
    )

    found = await fleet.verify()

    assert (found.status, found.kinds) == (1, {"checkpoint_of_another_key"})
    assert found.findings[0]["notes"] == [note]


async def test_a_log_that_was_forked_is_found_with_both_notes(fleet, tmp_path):
    log = copy.copy(fleet.logs[0])
    log.tree = log.tree.copy()
    other = copy.copy(fleet.logs[0])
    other.tree = other.tree.copy()
    log.tree.append([leaf_hash(b"one")])
    other.tree.append([leaf_hash(b"another")])
    anchor = tmp_path / "forked"
    anchor.write_text(f"{log.signed()}\n{other.signed()}")

    found = await fleet.verify("--anchor", str(anchor))

    assert found.status == 1
    [forked] = [one for one in found.findings if one["kind"] == "forked"]
    assert sorted(forked["notes"]) == sorted([str(log.signed()), str(other.signed())])


async def test_a_history_that_was_written_anew_with_the_stolen_key_is_found(fleet):
    """The anchor has the old history; rows, tiles and checkpoints of the database agree."""
    log = fleet.logs[0]
    for table in ("log", "checkpoint", "tile", "note"):
        await fleet.database.execute(f"DELETE FROM mcp_audit_seal_{table} WHERE log = $1", log.log)
    for name in ("mcp_audit_log", "mcp_tool_invocation", "mcp_audit_gap"):
        await fleet.database.execute(f"DELETE FROM {name} WHERE log = $1", log.log)
    another = SealedLog(log.instance, begun=log.now - timedelta(hours=1))
    another.origin, another.key, another.log = log.origin, log.key, log.log
    another.many(ROWS + 300)
    another.checkpoint()
    await another.store(fleet.database)

    found = await fleet.verify()

    assert found.status == 1
    [forked] = [one for one in found.findings if one["kind"] == "forked"]
    assert str(log.signed()) in forked["notes"]
    assert len(forked["notes"]) == 2


async def test_a_database_that_was_put_back_to_an_older_state_is_found(fleet):
    log = fleet.logs[0]
    size = 900
    for name in ("mcp_audit_log", "mcp_tool_invocation", "mcp_audit_gap", "mcp_audit_seal_note"):
        await fleet.database.execute(
            f"DELETE FROM {name} WHERE log = $1 AND seq >= $2", log.log, size
        )
    await fleet.database.execute(
        "DELETE FROM mcp_audit_seal_tile WHERE log = $1 AND (number + 1) * 256 > $2", log.log, size
    )
    await fleet.database.execute(
        "DELETE FROM mcp_audit_seal_checkpoint WHERE log = $1 AND size > $2", log.log, size
    )

    found = await fleet.verify()

    assert (found.status, found.kinds) == (1, {"rolled_back"})
    [finding] = found.findings
    assert (finding["first"], finding["last"]) == (size, log.size - 1)


async def test_a_note_that_was_altered_or_inserted_is_found(fleet):
    log = fleet.logs[0]
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_note SET data = replace(data, 'postgres', 'nats')"
        " WHERE log = $1 AND seq = 0",
        log.log,
    )
    place, _ = await entry_at(fleet, log, PLACE)
    await fleet.database.execute(
        "INSERT INTO mcp_audit_seal_note (log, seq, data) VALUES ($1, $2, '[\"void\"]')",
        log.log,
        place,
    )

    found = await fleet.verify()

    assert found.status == 1
    assert found.covers(log, 0) == {"note_altered"}
    assert found.covers(log, place) == {"note_altered"}
