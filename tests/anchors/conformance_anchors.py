"""Anchors against real neighbours of other makes. Installs from PyPI; needs rsyslog of Debian.

`make conformance-anchors` runs this file.
"""

import asyncio
import json
import subprocess
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from audit_log.seal.cosignature import cosignatures
from audit_log.seal.keys import VerifierKey
from audit_log.seal.note import Note, parse_signatures
from proxy.seal.anchors.sigv4 import Credentials, S3Request, signed
from tests.neighbours.aics_witness import aics_witness_of, programs
from tests.neighbours.anchoring import Anchoring, anchoring
from tests.neighbours.certificates import LOOPBACK, key_pair_of
from tests.neighbours.environments import environment
from tests.neighbours.moto_server import LOCK, moto_server
from tests.neighbours.patience import eventually
from tests.neighbours.rsyslog import Rsyslog, rsyslog_of
from tests.neighbours.sealed_log import ORIGIN, SealedLog
from tests.neighbours.time_stamping import stamping
from tests.neighbours.witness import witness_of

LOG = SealedLog()
FORK = SealedLog(fork="other")
REJECTION = bytes.fromhex("3012 3010 020102 300b 0c09 6e6f7420746f646179")
PLAYERS = Path(__file__).parent / "players"


def is_cosigned(lines: str, size: int, vkey: str) -> bool:
    note = Note(LOG.offer(size).note.text, parse_signatures(lines))
    return len(cosignatures(note, [VerifierKey.parse(vkey)])) == 1


# A witness of another make.


@pytest.fixture
async def witness(tmp_path):
    async with aics_witness_of(tmp_path, **{ORIGIN: LOG.vkey}) as witness:
        yield witness


async def test_another_witness_cosigns_growth_and_is_asked_where_it_is(witness):
    for sizes, proofs in (((3, 8, 8, 300), [(3, 8), (8, 300)]), ((301,), [(300, 301)])):
        log = SealedLog()
        async with anchoring(witness.anchor) as running:
            for size in sizes:
                receipt = await running.receipt_of(log.offer(size))
                assert is_cosigned(receipt.receipt, size, witness.vkey)
        assert log.proofs_asked == proofs, "a new anchor learns the size from a 409"


async def test_another_witness_refuses_a_fork_and_one_of_the_same_size(witness):
    async with anchoring(witness.anchor) as running:
        await running.receipt_of(LOG.offer(5))
    for size in (5, 9):
        async with anchoring(witness.anchor) as running:
            running.anchors.offer(FORK.offer(size))
            assert "a fork" in await running.problem()
    async with anchoring(witness.anchor) as running:
        running.anchors.offer(LOG.offer(4))
        assert "has signed 5 leaves" in await running.problem()


async def test_another_witness_goes_on_after_it_was_killed(witness):
    async with anchoring(witness.anchor) as running:
        await running.receipt_of(LOG.offer(5))
        witness.kill()
        running.anchors.offer(LOG.offer(6))
        assert await running.reason()
        await witness.start()
        assert (await running.receipt()).size == 6


async def test_another_witness_takes_both_keys_while_a_log_changes_them(witness):
    new = SealedLog(seed=b"n" * 32)
    both = LOG.offer(5)
    note = both.note.with_signatures(new.offer(5).note.signatures)
    async with anchoring(witness.anchor) as running:
        offer = type(both)(both.log, both.checkpoint, note, both.prove)
        assert is_cosigned((await running.receipt_of(offer)).receipt, 5, witness.vkey)
        running.anchors.offer(new.offer(6))
        assert "does not know the key" in await running.problem()


async def test_another_client_finds_our_witness_as_it_expects(tmp_path):
    async with witness_of(tmp_path, LOG.vkey) as ours:
        await ours.opened()
        await ours.add(LOG.request(0, 3))
        requests: list[dict[str, Any]] = [
            {"proofs": proofs(log, size), "note": str(log.offer(size).note)}
            for log, size in ((LOG, 8), (LOG, 8), (LOG, 21), (FORK, 22), (FORK, 21), (LOG, 4))
        ]
        vkey = ours.vkey
        asked = {"url": ours.url, "vkey": vkey, "requests": requests}
        told = json.loads(await played(programs(), "aics_feeder.py", json.dumps(asked)))

    for lines, size in zip(told[:3], (8, 8, 21), strict=True):
        assert is_cosigned(lines, size, vkey)
    assert told[3:] == ["WitnessRejected 422", "WitnessRejected 422", "WitnessAhead"]


def proofs(log: SealedLog, size: int) -> dict[str, list[str]]:
    return {
        str(old): [b64encode(part).decode() for part in log.proof(old, size)]
        for old in (0, 3, 8, 21)
        if old <= size
    }


# A store that speaks S3.


@pytest.fixture
async def store(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with moto_server() as store:
        await store.make_bucket("bucket")
        yield store


async def test_a_store_keeps_each_checkpoint_locked(store):
    url = f"s3://bucket/seals#endpoint={store.url}&region=us-east-1&retain_days=3&every=0.01"
    async with anchoring(url) as running:
        for size in (5, 9):
            receipt = await running.receipt_of(LOG.offer(size))
            key, _, version = receipt.receipt.partition("?versionId=")
            assert key == f"seals/{ORIGIN}/{size:020d}"
            status, body = await store.ask("GET", f"bucket/{key}?versionId={version}", {})
            assert (status, body) == (200, str(LOG.offer(size).note).encode())
            status, told = await store.ask("DELETE", f"bucket/{key}?versionId={version}", {})
            assert status == 403, told
            assert await store.lock_of(f"bucket/{key}") == "COMPLIANCE"


async def test_a_store_tells_what_lies_there_already(store):
    url = f"s3://bucket#endpoint={store.url}&region=us-east-1&every=0.01"
    async with anchoring(url) as running:
        await running.receipt_of(LOG.offer(5))
    async with anchoring(url) as running:
        receipt = await running.receipt_of(LOG.offer(5))
        assert receipt.size == 5, "sent again after a kill"
    async with anchoring(url) as running:
        running.anchors.offer(FORK.offer(5))
        assert "another checkpoint" in await running.problem()
    assert len(await store.versions("bucket")) == 1


async def test_above_a_delete_marker_the_oldest_version_is_still_ours(store):
    url = f"s3://bucket#endpoint={store.url}&region=us-east-1&retain_days=3&every=0.01"
    async with anchoring(url) as running:
        receipt = await running.receipt_of(LOG.offer(5))
    key, _, version = receipt.receipt.partition("?versionId=")
    assert (await store.ask("DELETE", f"bucket/{quote(key)}", {}))[0] == 204
    async with anchoring(url) as running:
        await running.receipt_of(FORK.offer(5))
    versions = [found for name, found in await store.versions("bucket") if name == key]
    assert len(versions) == 2, "the condition holds above a delete marker"
    assert versions[-1] == version


async def test_a_store_that_knows_no_such_bucket_is_told(store):
    url = f"s3://other#endpoint={store.url}&region=us-east-1"
    async with anchoring(url) as running:
        running.anchors.offer(LOG.offer(5))
        assert "NoSuchBucket" in await running.problem()


@pytest.mark.parametrize("token", [None, "session"])
async def test_botocore_signs_a_request_as_we_do(token):
    url = URL(f"https://s3.eu-central-1.amazonaws.com:9443/b.u/{quote(ORIGIN)}%25C3/0005")
    fields = {"Content-Type": "text/plain", "If-None-Match": "*", "x-amz-object-lock-mode": "X"}
    at = datetime(2026, 11, 29, 1, 2, 3, tzinfo=UTC)
    asked = {
        "method": "PUT",
        "url": str(url),
        "fields": fields,
        "body": "note",
        "region": "eu-central-1",
        "at": at.isoformat(),
        "access_key": "id",
        "secret_key": "secret",
        "session_token": token,
    }
    request = S3Request("PUT", url, b"note", fields)
    ours = signed(request, Credentials("id", "secret", token), "eu-central-1", at)
    theirs = await played(environment(LOCK), "botocore_signer.py", json.dumps(asked))
    assert ours["Authorization"].partition("Signature=")[2] == theirs.partition("Signature=")[2]


# A time-stamp authority.


@pytest.mark.parametrize("curve", [None, "P-256"])
async def test_a_time_stamp_is_of_the_signed_note_and_others_verify_it(tmp_path, curve):
    async with stamping(tmp_path, curve) as authority:
        async with anchoring(f"tsa+{authority.url}#every=0.01") as running:
            receipt = await running.receipt_of(LOG.offer(5))
        age = datetime.now(UTC) - receipt.anchored_at
        assert -2 < age.total_seconds() < 60
        note = str(LOG.offer(5).note).encode()
        authority.verify(b64decode(receipt.receipt), note)
        with pytest.raises(AssertionError, match="mismatch"):
            authority.verify(b64decode(receipt.receipt), note + b"altered")

    (tmp_path / "response").write_bytes(authority.responses[0])
    (tmp_path / "note").write_bytes(note)
    programs_of_rfc3161 = environment(PLAYERS.parent / "locks" / "rfc3161.lock")
    arguments = [str(tmp_path / name) for name in ("response", "note", "root.pem")]
    await played(programs_of_rfc3161, "rfc3161_verifier.py", "", *arguments)


async def test_a_time_stamp_of_another_request_is_no_time_stamp(tmp_path):
    async with stamping(tmp_path) as authority:
        async with anchoring(f"tsa+{authority.url}#every=0.01") as running:
            await running.receipt_of(LOG.offer(5))
        for instead, says in (
            (authority.responses[0], "is of other data"),
            (b"\x30\x03\x02\x01\x02", "is no time stamp"),
            (b"<html>", "is no time stamp"),
            (
                REJECTION,
                "status 2: not today",
            ),
        ):
            authority.instead = instead
            async with anchoring(f"tsa+{authority.url}") as running:
                running.anchors.offer(LOG.offer(6))
                assert says in await running.reason()


# A syslog receiver.


async def test_syslog_has_each_checkpoint_on_one_line_and_the_newest_after_a_restart(tmp_path):
    pair = key_pair_of(LOOPBACK, tmp_path)
    async with rsyslog_of(tmp_path, pair) as rsyslog:
        url = f"syslog+tls://127.0.0.1:{rsyslog.port}#ca={pair.certificate}&every=0.01"
        async with anchoring(url) as running:
            for size in (5, 300):
                running.anchors.offer(LOG.offer(size))
                await taken(rsyslog, size)
            rsyslog.stop()
            await rsyslog.start()
            await eventually_taken_again(running, rsyslog, 301)
        assert running.receipts == 0, "syslog confirms nothing"
    assert all("#012" not in line for line in rsyslog.messages())


async def taken(rsyslog: Rsyslog, size: int) -> None:
    line = f"podwarden-audit checkpoint {b64encode(str(LOG.offer(size).note).encode()).decode()}"

    async def look() -> bool:
        return line in rsyslog.messages()

    await eventually(look, lambda: "\n".join(rsyslog.messages()))


async def eventually_taken_again(running: Anchoring, rsyslog: Rsyslog, size: int) -> None:
    """Offer the same checkpoint again and again, as heartbeats do, until it is there."""

    async def look() -> bool:
        running.anchors.offer(LOG.offer(size))
        return any(line.split()[-1] == wanted for line in rsyslog.messages())

    wanted = b64encode(str(LOG.offer(size).note).encode()).decode()
    await eventually(look)


async def played(programs: Path, player: str, words: str, *arguments: str) -> str:
    """Run a program of `players` in its environment; return what it said."""
    process = await asyncio.create_subprocess_exec(
        *(str(programs / "python"), str(PLAYERS / player), *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, complaints = await process.communicate(words.encode())
    assert process.returncode == 0, complaints.decode()
    return said.decode()
