"""The proof of one entry or tool call, asked of a real audit API and judged by C2SP's rules."""

import random
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from audit_log.record import ToolOutcome
from audit_log.seal.cosignature import cosign
from audit_log.seal.keys import COSIGNATURE, SignerKey, VerifierKey
from audit_log.seal.leaf import VOID, quarantined_leaf
from audit_log.seal.note import Note
from audit_log.seal.policy import Log, Policy, Witness
from audit_log.seal.tiles import hashes_of
from audit_log.seal.tlog_proof import TlogProof
from audit_log.seal.tree import leaf_hash, subtree_hash
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_api import ALL, asked, asking_as_admin, record
from tests.neighbours.patience import eventually
from tests.neighbours.sealed_logs import SealedLog
from tests.neighbours.sidecar import serving_sidecar

ANCHOR = """
INSERT INTO mcp_audit_seal_anchor (log, size, anchor, receipt, anchored_at)
VALUES ($1, $2, $3, $4, $5)
"""


@pytest.fixture
async def api(database, database_url):
    async with asking_as_admin(database, database_url) as client:
        yield client


@pytest.fixture
def log():
    random.seed(1)
    return SealedLog()


def of_entry(record) -> str:
    return f"{ALL}/entries/{record.id}/proof"


def of_call(call) -> str:
    return f"{ALL}/invocations/{call.id}/proof"


async def proof(api, path: str) -> TlogProof:
    async with api.get(path) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Disposition"].endswith('.tlog-proof"')
        return TlogProof.parse(await response.read())


async def refusal(api, path: str) -> tuple[int, str]:
    async with api.get(path) as response:
        return response.status, (await response.json())["detail"]


async def seal_of(api, path: str):
    return await asked(api, f"{path}?format=json")


def leaf_of(found: TlogProof) -> bytes:
    """Return the leaf data that a proof carries."""
    assert found.extra is not None
    return found.extra


async def test_each_item_is_proven_wherever_it_lies(api, database, log):
    """Tiles that are full, the open one, and one of a level that is made of those below."""
    log.many(700)
    entries = [*log.records[:3], log.records[300], *log.records[-3:]]
    calls, size = [log.invocations[0], log.invocations[-1]], log.size
    log.checkpoint()
    await log.store(database)

    policy = Policy((Log(log.key.verifier),))
    for item, path in [(one, of_entry(one)) for one in entries] + [(c, of_call(c)) for c in calls]:
        found = await proof(api, path)
        assert found.index == item.seq
        assert found.verify(leaf_of(found), policy).checkpoint.size == size
        assert f'"{item.id}"'.encode() in leaf_of(found)
        told = await seal_of(api, path)
        assert (told["state"], told["log"], told["place"]) == ("sealed", log.origin, item.seq)
        assert told["leaf"].encode() == found.extra
        assert told["hashes"] == [b64encode(hash_).decode() for hash_ in found.hashes]
        assert told["checkpoint"] == str(found.note)


async def test_json_is_given_to_those_who_accept_nothing_else(api, database, log):
    entry = log.full_entry()
    log.checkpoint()
    await log.store(database)

    async with api.get(of_entry(entry), headers={"Accept": "application/json"}) as response:
        assert (await response.json())["state"] == "sealed"
        assert "Accept" in response.headers["Vary"]
    async with api.get(
        of_entry(entry), headers={"Accept": "text/html, application/json"}
    ) as response:
        assert response.content_type == "text/plain"


async def test_what_is_not_sealed_says_why(api, database, store, log):
    sealed = log.full_entry()
    older = record(instance=log.instance, created_at=datetime(2025, 1, 1, tzinfo=UTC))
    log.checkpoint()
    await log.store(database)
    await store.append([older])
    await database.execute("UPDATE mcp_audit_log SET arrived_at = created_at WHERE seq IS NULL")
    late = log.full_entry()
    await log.store(database)
    stranger, unplaced = record(instance="elsewhere"), record(instance=log.instance)
    await store.append([stranger, unplaced])

    assert (await seal_of(api, of_entry(sealed)))["state"] == "sealed"
    expected = {
        of_entry(late): ("not_yet", "Not sealed yet: no checkpoint covers leaf"),
        of_entry(older): ("before_the_seal", f"Before the seal: {log.instance} has sealed since"),
        of_entry(stranger): ("not_sealed", "Not sealed: it has no place in a log"),
        of_entry(unplaced): ("not_sealed", "Not sealed: it has no place in a log"),
    }
    for path, (state, words) in expected.items():
        told = await seal_of(api, path)
        assert told["state"] == state
        assert told["detail"].startswith(words)
        status, detail = await refusal(api, path)
        assert status == 404
        assert detail.startswith(words)
    async with api.get(of_entry(late)) as response:
        assert response.headers["Retry-After"] == "1"


async def test_what_was_refused_at_first_is_proven_by_the_hash_in_its_leaf(
    api, database, store, log
):
    refused, other = log.quarantine(), log.quarantine()
    log.checkpoint()
    await log.store(database)
    await store.append([refused, other])
    await database.execute("UPDATE mcp_audit_log SET path = '/x' WHERE id = $1", other.id)

    found = await proof(api, of_entry(refused))
    told = await seal_of(api, of_entry(refused))
    status, detail = await refusal(api, of_entry(other))

    own = told["refused"].encode()
    assert leaf_of(found) == quarantined_leaf(leaf_hash(own)) == told["leaf"].encode()
    assert f'"{refused.id}"'.encode() in own
    assert told["state"] == "sealed"
    assert "PostgreSQL refused it at first, so its leaf is quarantined" in told["detail"]
    assert (status, "is not what was sealed" in detail) == (409, True)


async def test_what_was_refused_and_named_later_is_proven_as_it_was(api, database, store, log):
    unnamed = record(
        token_id=None, token_name=None, token_hash="cd" * 32, log=log.log, seq=log.size
    )
    log.note_refused(unnamed)
    log.quarantine(unnamed)
    log.checkpoint()
    await log.store(database)
    await store.append([msgspec.structs.replace(unnamed, token_name="laptop", token_hash=None)])

    told = await seal_of(api, of_entry(unnamed))

    assert (told["state"], told["named_later"]) == ("sealed", True)
    assert "cdcdcdcd" in told["refused"]


async def test_a_line_that_the_log_says_nothing_of_is_not_sealed(api, database, store, log):
    place = log.size
    log.lines(VOID, 3)
    log.checkpoint()
    lost = record(log=log.log, seq=place + 1)
    await log.store(database)
    await store.append([lost])

    told = await seal_of(api, of_entry(lost))
    assert told["state"] == "not_sealed"
    assert '["void"]' in told["detail"]


async def test_an_entry_whose_token_was_named_later_is_proven_as_it_was(api, database, log):
    entry = log.entry(token_hash="ab" * 32, token_name=None)
    log.checkpoint()
    await log.store(database)
    named = "UPDATE mcp_audit_log SET token_name = $2, token_id = $3 WHERE id = $1"
    await database.execute(named, entry.id, "laptop", uuid4())

    told = await seal_of(api, of_entry(entry))
    assert (told["state"], told["named_later"]) == ("sealed", True)
    assert "abababab" in told["leaf"]
    await database.execute(named, entry.id, "Unknown token (12345678)", None)
    assert (await refusal(api, of_entry(entry)))[0] == 409


async def test_a_tool_call_is_proven_in_the_version_that_is_stored(api, database, log):
    asked_ = log.tool_call(outcome=ToolOutcome.ASKED, status_code=202)
    log.full_entry()
    ended = log.tool_call(id=asked_.id, outcome=ToolOutcome.OK, created_at=asked_.created_at)
    log.checkpoint()
    await log.store(database)

    found = await proof(api, of_call(ended))
    assert found.index == ended.seq
    assert b'"ok"' in leaf_of(found)


async def test_the_checkpoint_is_the_newest_that_a_witness_has_cosigned(api, database, log):
    witness = SignerKey.new("witness.example/w", COSIGNATURE)
    entry = log.full_entry()
    log.full_entry()
    cosigned, size = log.checkpoint(), log.size
    log.full_entry()
    log.checkpoint()
    filed = log.size
    log.full_entry()
    log.checkpoint()
    await log.store(database)
    at = datetime(2026, 5, 1, tzinfo=UTC)
    line = str(cosign(Note.parse(cosigned), witness, int(at.timestamp())))
    await database.execute(ANCHOR, log.log, size, "witness", line, at)
    await database.execute(ANCHOR, log.log, filed, "folder", "/backup/x", at + timedelta(hours=1))

    policy = Policy((Log(log.key.verifier),), (Witness("w", witness.verifier),), quorum="w")
    found = await proof(api, of_entry(entry))
    witnessed = found.verify(leaf_of(found), policy)
    assert witnessed.checkpoint.size == size
    assert [one.time for one in witnessed.cosignatures] == [int(at.timestamp())]
    told = await seal_of(api, of_entry(entry))
    assert told["cosigned_by"] == ["witness.example/w"]
    assert [(one["anchor"], one["size"], one["anchored_at"]) for one in told["anchors"]] == [
        ("witness", size, "2026-05-01T00:00:00+00:00"),
        ("folder", filed, "2026-05-01T01:00:00+00:00"),
    ]


async def test_of_a_pruned_tile_only_what_lies_elsewhere_is_proven(api, database, log):
    log.many(600)
    kept, later = log.records[20], log.records[-1]
    log.checkpoint()
    await log.store(database)
    row = await database.fetch_row(
        "SELECT hashes FROM mcp_audit_seal_tile WHERE level = 0 AND number = 0"
    )
    hashes = hashes_of(bytes(row["hashes"]))
    # What the purge leaves: the way up from the times leaf, which is the last one.
    way = [
        subtree_hash(hashes[256 - 2 * size : 256 - size]) for size in (1 << n for n in range(8))
    ]
    await database.execute(
        "UPDATE mcp_audit_seal_tile SET hashes = $1 WHERE level = 0 AND number = 0", b"".join(way)
    )
    assert (await seal_of(api, of_entry(kept)))["state"] == "sealed"  # its neighbours are there

    await database.execute("DELETE FROM mcp_audit_log WHERE seq < 256 AND id <> $1", kept.id)
    found = await proof(api, of_entry(later))
    found.verify(leaf_of(found), Policy((Log(log.key.verifier),)))
    told = await seal_of(api, of_entry(kept))
    assert (told["state"], told["detail"][:20]) == ("pruned", "It is sealed as leaf")
    assert (await refusal(api, of_entry(kept)))[0] == 404


async def test_calls_through_a_sidecar_are_proven(upstream, callers, database, database_url, api):
    async with serving_sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 3)
        await arrived(database, 3)
        rows = await database.fetch("SELECT id FROM mcp_audit_log ORDER BY seq")

        async def sealed():
            told = [
                await asked(api, f"{ALL}/entries/{row['id']}/proof?format=json") for row in rows
            ]
            assert {one["state"] for one in told} <= {"not_yet", "sealed"}
            return all(one["state"] == "sealed" for one in told) and told

        told = await eventually(sealed)

    [log] = await database.fetch("SELECT key FROM mcp_audit_seal_log")
    policy = Policy((Log(VerifierKey.parse(log["key"])),))
    for row, one in zip(rows, told, strict=True):
        found = await proof(api, f"{ALL}/entries/{row['id']}/proof")
        assert found.verify(one["leaf"].encode(), policy).checkpoint.origin == one["log"]


OF_ENTRY = "UPDATE mcp_audit_log SET {} WHERE id = $1 AND log = $2"
OF_OTHERS = "UPDATE mcp_audit_log SET path = '/x' WHERE id <> $1 AND log = $2 AND seq {}"
OF_TILE = "UPDATE mcp_audit_seal_tile SET hashes = {} WHERE $1::uuid IS NOT NULL AND log = $2"
OF_CHECKPOINT = "UPDATE mcp_audit_seal_checkpoint SET {} WHERE $1::uuid IS NOT NULL AND log = $2"
OF_LOG = "UPDATE mcp_audit_seal_log SET {} WHERE $1::uuid IS NOT NULL AND log = $2"
ALTERATIONS = {
    "the row": (409, OF_ENTRY.format("path = '/x'")),
    "its time": (409, OF_ENTRY.format("created_at = 'infinity'")),
    "its duration": (409, OF_ENTRY.format("duration_ms = 'NaN'")),
    "its address": (409, OF_ENTRY.format("client_ip = '10.0.0.0/8'")),
    "its place": (409, OF_ENTRY.format("seq = seq + 1")),
    "its place, to a times leaf": (409, OF_ENTRY.format("seq = 255")),
    "its place, to one before all": (409, OF_ENTRY.format("seq = -1")),
    "its place, to one after all": (404, OF_ENTRY.format("seq = 9000000000000000000")),
    "its log": (404, OF_ENTRY.format("log = log # 1")),
    "others in a tile that is stored": (200, OF_OTHERS.format("< 256")),
    "others in the open tile": (409, OF_OTHERS.format(">= 256")),
    "a tile's hashes": (409, OF_TILE.format("set_byte(hashes, 300, get_byte(hashes, 300) # 1)")),
    "a tile's length, from which it is made anew": (200, OF_TILE.format("substr(hashes, 1, 99)")),
    "a tile's length, as if it were pruned": (200, OF_TILE.format("substr(hashes, 1, 256)")),
    "a checkpoint's root": (
        409,
        OF_CHECKPOINT.format("note = overlay(note PLACING 'AB' FROM 70)"),
    ),
    "a checkpoint's size, which its text tells too": (
        200,
        OF_CHECKPOINT.format("size = size + 1000"),
    ),
    "a checkpoint's text": (409, OF_CHECKPOINT.format("note = 'nothing'")),
    "the log's key": (409, OF_LOG.format("key = 'nothing'")),
    "the log's origin": (409, OF_LOG.format("origin = 'nothing'")),
}


async def test_no_proof_is_made_of_what_was_altered(api, database):
    for altered, (status, alteration) in ALTERATIONS.items():
        log = SealedLog()
        entry = log.full_entry()
        log.many(270)
        log.checkpoint()
        await log.store(database)
        assert (await seal_of(api, of_entry(entry)))["state"] == "sealed", altered

        await database.execute(alteration, entry.id, log.log)
        async with api.get(of_entry(entry)) as response:
            assert response.status == status, (altered, await response.text())
            if status == 200:
                found = TlogProof.parse(await response.read())
                found.verify(leaf_of(found), Policy((Log(log.key.verifier),)))
            if status == 409:
                assert "`podwarden-audit verify`" in await response.text()
