"""Reads with a seal: `verify` finds one that was altered, removed or inserted."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from audit_api.reads.read_seal import ReadSeal
from audit_log.errors import StoreError
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.purge import apply_retention, pruning, purging
from audit_log.postgres.readers.sealed_reads import ReadKey, append_sealed_reads
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.process.sealing.key_file import KEY_NAME, read_or_make_key
from audit_log.reads import Read, ReadKind
from audit_log.record import new_record_id
from audit_log.retention import Retention
from audit_log.seal.growing.state import State
from audit_log.seal.stored import SealNote
from audit_log.verify.stored.stored_rows import Table, rows_at
from tests.neighbours.audit_api import ALL, serving_audit_api
from tests.neighbours.fleet import Fleet
from tests.neighbours.postgres import fresh_database
from tests.neighbours.services import Service, running_audit_api

ASKED = "SELECT gen_random_uuid(), max(created_at), 'question', '/', max(instance)"
COPY = f"INSERT INTO mcp_audit_read (id, created_at, kind, question, instance) {ASKED}"
PLACED = "INSERT INTO mcp_audit_read (id, created_at, kind, question, instance, seq, log)"


@pytest.fixture
def fleet(database, database_url, tmp_path, capsys):
    return Fleet(database_url, database, [], tmp_path / "policy", tmp_path / "seal", capsys)


@pytest.fixture(scope="module")
def sealed(module_database_url, tmp_path_factory):
    """A database with sealed reads, to be copied, and the folder that has their seal."""
    folder = tmp_path_factory.mktemp("sealed-reads")

    async def make() -> str:
        async with open_database(module_database_url, application="test") as database:
            await read_on(database, module_database_url, folder / "seal", 270, seconds=2.5)
            return await policy_of(database)

    (folder / "policy").write_text(asyncio.run(make()))
    return module_database_url, folder


@pytest.fixture
async def copied(postgres, sealed, capsys):
    """A copy of what is sealed, to be tampered with."""
    made_url, folder = sealed
    async with (
        fresh_database(postgres, template=made_url.rpartition("/")[2]) as url,
        open_database(url, application="test") as database,
    ):
        yield Fleet(url, database, [], folder / "policy", folder / "seal", capsys)


async def ask(fleet: Fleet, times: int, seconds: float = 0) -> None:
    """Ask as `read_on` does; then trust the key."""
    await read_on(fleet.database, fleet.url, fleet.anchor, times, seconds=seconds)
    await trust(fleet)


async def read_on(
    database: Database, url: str, seal: Path, times: int, *, seconds: float = 0
) -> None:
    """Ask the audit API so often, and for so long; then it stops.

    Its key and its anchor are in the folder *seal*, which the policy trusts.
    """
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    fields = {"Authorization": f"Bearer {secret}"}
    async with serving_audit_api(url, seal_dir=seal) as api:

        async def one(number: int) -> None:
            async with api.get(f"{ALL}?limit={number + 1}", headers=fields) as response:
                assert response.status == 200

        began = monotonic()
        for begin in range(0, times, 50):
            await asyncio.gather(*map(one, range(begin, min(begin + 50, times))))
        while monotonic() - began < seconds:
            await one(1)


async def trust(fleet: Fleet) -> None:
    fleet.policy.write_text(await policy_of(fleet.database))


async def policy_of(database: Database) -> str:
    rows = await database.fetch("SELECT DISTINCT key FROM mcp_audit_seal_log")
    lines = "".join(f"log {row['key']}\n" for row in rows)
    return f"{lines}quorum none\n"


async def places(fleet: Fleet) -> list[Any]:
    rows = await fleet.database.fetch("SELECT seq FROM mcp_audit_read ORDER BY seq")
    return [row["seq"] for row in rows]


async def test_reads_are_sealed_and_go_on_after_a_restart(fleet):
    await ask(fleet, 300)
    first = await fleet.verify()
    await ask(fleet, 40)
    second = await fleet.verify()

    assert (first.status, first.findings, second.status, second.findings) == (0, [], 0, [])
    assert second.told["logs"][0]["rows"] == 340
    # Each 256th leaf holds the times of the others, and the one at 301 the first stop.
    assert await places(fleet) == [place for place in range(342) if place not in {255, 301}]
    assert second.told["logs"][0]["size"] == 343
    assert second.remarks == {}


async def test_a_kill_loses_no_read_that_was_answered_and_the_log_goes_on(fleet):
    _, secret = await TokenTable(fleet.database).create("reader", "admin", 90)
    settings = {"AUDIT_API_SEAL_DIR": str(fleet.anchor)}
    answered: list[str] = []
    for killed_after in (50, None):
        async with running_audit_api(fleet.url, **settings) as service:
            await ask_at_once(service, secret, answered, killed_after)
    await trust(fleet)

    found = await fleet.verify()

    assert (found.status, found.findings) == (0, [])
    rows = await fleet.database.fetch("SELECT question FROM mcp_audit_read")
    assert Counter(answered) <= Counter(row["question"] for row in rows)


async def ask_at_once(
    service: Service, secret: str, answered: list[str], killed_after: int | None
) -> None:
    """Ask 200 questions at once; note those that are answered, of which one kills the service."""

    async def one(number: int) -> None:
        with suppress(ClientError):
            async with client.get(f"{ALL}?limit={number}") as response:
                assert response.status == 200
            answered.append(f"/mcp-audit?limit={number}")
        if len(answered) == killed_after:
            await service.kill()

    fields = {"Authorization": f"Bearer {secret}"}
    async with ClientSession(service.url, headers=fields) as client:
        await asyncio.gather(*map(one, range(1, 201)))


async def test_two_audit_apis_with_one_key_share_a_log(fleet):
    _, secret = await TokenTable(fleet.database).create("reader", "admin", 90)
    fields = {"Authorization": f"Bearer {secret}"}
    async with (
        serving_audit_api(fleet.url, seal_dir=fleet.anchor) as one,
        serving_audit_api(fleet.url, seal_dir=fleet.anchor) as other,
    ):

        async def ask_both(number: int) -> None:
            for api in (one, other):
                async with api.get(f"{ALL}?limit={number}", headers=fields) as response:
                    assert response.status == 200

        await asyncio.gather(*map(ask_both, range(1, 31)))
    await trust(fleet)

    found = await fleet.verify()

    assert (found.status, found.findings, len(found.told["logs"])) == (0, [], 1)
    assert len(set(await places(fleet))) == 60
    assert found.told["logs"][0]["size"] == 62


async def test_reads_of_before_the_seal_and_of_others_are_told_and_no_fault(fleet):
    await ask(fleet, 1)
    before = COPY.replace("max(created_at)", "max(created_at) - interval '1 day'")
    others = COPY.replace("max(instance)", "'audit-api/elsewhere'")
    for lie in (before, others):
        await fleet.database.execute(f"{lie} FROM mcp_audit_read")

    found = await fleet.verify()

    assert (found.status, found.findings) == (0, [])
    assert found.remarks == {"before_the_seal": 1, "reads_not_sealed": 1}


async def test_reads_of_a_time_without_the_seal_are_told_and_no_fault(fleet):
    await ask(fleet, 10, seconds=1.2)
    _, secret = await TokenTable(fleet.database).create("another", "admin", 90)
    fields = {"Authorization": f"Bearer {secret}"}
    async with serving_audit_api(fleet.url) as api:
        for number in range(1, 6):
            async with api.get(f"{ALL}?limit={number}", headers=fields) as response:
                assert response.status == 200
    for _ in range(2):
        await ask(fleet, 3)

    found = await fleet.verify()
    await fleet.database.execute(f"{COPY} FROM mcp_audit_read WHERE seq IS NOT NULL")
    inserted = await fleet.verify()

    assert (found.status, found.findings, found.remarks) == (0, [], {"while_unsealed": 5})
    assert (inserted.status, inserted.kinds) == (1, {"inserted"})


async def test_what_was_not_changed_is_genuine(copied):
    found = await copied.verify()

    assert (found.status, found.findings) == (0, [])


@pytest.mark.parametrize(
    ("lie", "kind"),
    [
        ("UPDATE mcp_audit_read SET reader = 'another' WHERE seq = 7", "altered"),
        ("UPDATE mcp_audit_read SET question = '/' WHERE seq = 269", "altered"),
        ("UPDATE mcp_audit_read SET client_ip = '192.0.2.1' WHERE seq = 7", "altered"),
        ("UPDATE mcp_audit_read SET rows_told = 1 WHERE seq = 7", "altered"),
        ("DELETE FROM mcp_audit_read WHERE seq = 7", "deleted"),
        ("DELETE FROM mcp_audit_read WHERE seq >= 268", "deleted"),
        (f"{COPY} FROM mcp_audit_read", "inserted"),
        (f"{PLACED} {ASKED}, 7, max(log) FROM mcp_audit_read", "taken_twice"),
        (f"{PLACED} {ASKED}, 500000, max(log) FROM mcp_audit_read", "inserted"),
    ],
)
async def test_a_read_that_was_changed_is_found(copied, lie, kind):
    await copied.database.execute(lie)

    found = await copied.verify()

    assert kind in found.kinds
    assert found.status == 1


async def test_a_note_of_a_read_does_not_stand_for_its_row(copied):
    [[log]] = await copied.database.fetch("SELECT DISTINCT log FROM mcp_audit_seal_log")
    async with copied.database.transaction() as transaction:
        [sealed] = await rows_at(transaction, Table.READS, log, [7])
    note = SealNote(log, 7, 1, sealed.data.decode())
    await Store(copied.database).append_sealed([note])
    noted = await copied.verify()
    await copied.database.execute("DELETE FROM mcp_audit_read WHERE seq = 7")

    found = await copied.verify()

    assert (noted.status, noted.findings) == (0, [])
    assert (found.status, found.kinds) == (1, {"deleted"})


async def test_a_log_that_was_put_back_is_not_signed_and_a_restart_says_so(fleet):
    await ask(fleet, 10)
    [state] = await fleet.database.fetch("SELECT key, state FROM mcp_audit_read_seal")
    await ask(fleet, 10)
    await fleet.database.execute("DELETE FROM mcp_audit_read WHERE seq > 10")
    await fleet.database.execute("DELETE FROM mcp_audit_seal_note WHERE seq > 10")
    await fleet.database.execute(
        "UPDATE mcp_audit_read_seal SET state = $2 WHERE key = $1", state["key"], state["state"]
    )
    await fleet.database.execute("DELETE FROM mcp_audit_seal_checkpoint WHERE size > 11")

    found = await fleet.verify()
    assert found.kinds == {"rolled_back"}

    seal = ReadSeal(fleet.database, fleet.anchor, read_or_make_key(fleet.anchor / KEY_NAME), "x")
    await seal.append([a_read(0)])
    await seal.publish()
    assert "brought back to an older state" in (seal.problem or "")
    await seal.close()


async def test_a_read_that_was_put_into_the_state_of_the_log_is_never_signed(fleet):
    await ask(fleet, 10)
    key = read_or_make_key(fleet.anchor / KEY_NAME)
    forger = ReadKey(key.public, bytes(32))
    [[stored]] = await fleet.database.fetch("SELECT state FROM mcp_audit_read_seal")
    state = next(filter(None, map(State.read, (bytes(stored), bytes(stored)[32:]))))
    await fleet.database.execute("UPDATE mcp_audit_read_seal SET state = $1", forger.closed(state))
    with suppress(StoreError):
        await append_sealed_reads(fleet.database, forger, [a_read(3)])

    seal = ReadSeal(fleet.database, fleet.anchor, key, "x")
    with pytest.raises(StoreError, match="has no state that the key"):
        await seal.append([a_read(0)])
    await seal.publish()
    await seal.close()

    assert "has no state that the key" in (seal.problem or "")
    found = await fleet.verify()
    assert (found.status, found.kinds) == (2, {"not_proved"})


async def test_what_the_retention_lets_go_is_no_fault(fleet):
    key = read_or_make_key(fleet.anchor / KEY_NAME)
    seal = ReadSeal(fleet.database, fleet.anchor, key, "audit-api/test")
    await seal.append([a_read(100.05 - number / 10) for number in range(990)])
    await seal.close()
    await trust(fleet)
    await apply_retention(fleet.database, Retention(days=30))
    moment = datetime.now(UTC) - timedelta(days=30)
    removed = [step.records async for step in purging(fleet.database, moment)]
    pruned = [step.records async for step in pruning(fleet.database)]

    kept = await fleet.verify("--kept-days", "30")
    too_much = await fleet.verify("--kept-days", "60")

    assert sum(removed) > 600
    assert pruned
    assert (kept.status, kept.findings) == (0, [])
    assert "deleted" in too_much.kinds


def a_read(days_ago: float) -> Read:
    return Read(
        id=new_record_id(),
        created_at=datetime.now(UTC) - timedelta(days=days_ago),
        kind=ReadKind.QUESTION,
        question="/mcp-audit",
        instance="audit-api/test",
        client_ip="2001:db8::7",
    )
