"""The audit API as a witness, asked by a client that is not ours and by our own anchor."""

from hashlib import sha256

import pytest
from aiohttp import ClientSession, test_utils, web

from audit_log.seal.cosignature import cosignatures
from audit_log.seal.keys import COSIGNATURE, NOTE, SignerKey, VerifierKey
from audit_log.seal.note import Note, parse_signatures
from tests.neighbours.anchoring import anchoring
from tests.neighbours.sealed_log import ORIGIN, SealedLog
from tests.neighbours.services import running_audit_api
from tests.neighbours.witness import witness_of

LOG = SealedLog()
FORK = SealedLog(fork="other")
BELOW = str(SignerKey("podwarden-audit/edge/*", NOTE, bytes(32)).verifier)


@pytest.fixture
async def witness(tmp_path):
    async with witness_of(tmp_path / "witness", LOG.vkey) as witness:
        await witness.opened()
        yield witness


def times_of(lines: str, size: int, vkey: str) -> list[int]:
    note = Note(LOG.offer(size).note.text, parse_signatures(lines))
    return [found.time for found in cosignatures(note, [VerifierKey.parse(vkey)])]


async def test_a_log_that_grows_is_cosigned_and_can_be_read_by_monitors(witness):
    for old, size in ((0, 3), (3, 8), (8, 8), (8, 21)):
        answer = await witness.add(LOG.request(old, size))
        assert (answer.status, answer.content_type) == (200, "text/plain; charset=utf-8")
        assert len(times_of(answer.text, size, witness.vkey)) == 1

    last = await witness.last(sha256(ORIGIN.encode()).hexdigest())
    assert last.status == 200
    assert last.text == f"{LOG.offer(21).note}{answer.text}"
    assert (await witness.last(sha256(b"other").hexdigest())).status == 404


async def test_a_client_at_another_size_is_told_the_right_one(witness):
    await witness.add(LOG.request(0, 5))
    for old in (0, 3, 7):
        answer = await witness.add(LOG.request(old, 9))
        assert (answer.status, answer.content_type, answer.text) == (
            409,
            "text/x.tlog.size",
            "5\n",
        )


async def test_a_fork_and_a_wrong_proof_are_refused(witness):
    await witness.add(LOG.request(0, 5))
    proof, note = LOG.proof(5, 9), LOG.offer(9).note
    empty = f"old 0\n\n{SealedLog().offer(0).note}".encode()
    for body in (
        FORK.request(5, 9),
        FORK.request(5, 5),
        LOG.request(5, 9).replace(b"old 5\n", b"old 5\n" + b"A" * 43 + b"=\n"),
        f"old 5\n\n{note}".encode(),
    ):
        answer = await witness.add(body)
        assert answer.status == 422, answer
    assert len(proof) > 0
    assert (await witness.add(LOG.request(5, 9))).status == 200
    assert (await witness.add(empty)).status == 409


async def test_the_empty_log_has_the_empty_root(witness):
    assert (await witness.add(LOG.request(0, 0))).status == 200
    assert (await witness.add(LOG.request(0, 2))).status == 200


async def test_strangers_are_refused_before_anything_is_looked_up(witness):
    unknown = SealedLog("podwarden-audit/other/0123456789abcdef")
    assert (await witness.add(unknown.request(0, 1))).status == 404
    other_key = SealedLog(seed=b"x" * 32)
    assert (await witness.add(other_key.request(0, 1))).status == 403
    altered = LOG.request(0, 5).replace(b"\n5\n", b"\n6\n")
    assert (await witness.add(altered)).status == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        LOG.request(0, 5).replace(b"old 0", b"old 00"),
        LOG.request(0, 5).replace(b"old 0", b"old 6"),
        LOG.request(0, 5)[:-1],
        LOG.request(0, 5) + b"\xff",
        b"old 0\n\n" + b"x" * 70_000,
    ],
)
async def test_what_is_no_request_is_refused(witness, body):
    assert (await witness.add(body)).status == 400


async def test_both_keys_of_a_log_are_taken_while_it_changes_them(tmp_path):
    new = SealedLog(seed=b"n" * 32)
    async with witness_of(tmp_path, LOG.vkey) as witness:
        both = LOG.offer(3).note.with_signatures(new.offer(3).note.signatures)
        assert (await witness.add(f"old 0\n\n{both}".encode())).status == 200
        assert (await witness.add(new.request(3, 4))).status == 403
    async with witness_of(tmp_path, LOG.vkey, new.vkey) as witness:
        assert (await witness.add(new.request(3, 4))).status == 200
        assert (await witness.add(LOG.request(4, 5))).status == 200


async def test_a_key_for_all_logs_of_a_sidecar_covers_those_that_are_begun_later(tmp_path):
    async with witness_of(tmp_path, BELOW) as witness:
        later = SealedLog("podwarden-audit/edge/fedcba9876543210")
        assert (await witness.add(later.request(0, 1))).status == 200
        for origin in (
            "podwarden-audit/edge/",
            "podwarden-audit/edge/a/b",
            "podwarden-audit/ed/a",
        ):
            assert (await witness.add(SealedLog(origin).request(0, 1))).status == 404


async def test_what_was_signed_survives_a_kill(tmp_path):
    settings = {"AUDIT_API_WITNESS_DIR": str(tmp_path), "AUDIT_API_WITNESS_LOGS": LOG.vkey}
    for round_, (old, size) in enumerate(((0, 3), (3, 8))):
        async with running_audit_api("postgresql://nobody@127.0.0.1:1/no", **settings) as service:
            opened = await service.logged("witness.opened")
            url = f"{service.url}/api/v1/settings/mcp-audit/witness/add-checkpoint"
            async with ClientSession() as client:
                if round_:
                    async with client.post(url, data=FORK.request(old, size)) as response:
                        assert response.status == 422
                async with client.post(url, data=LOG.request(old, size)) as response:
                    assert response.status == 200
                    lines = await response.text()
            await service.kill()
        assert len(times_of(lines, size, opened["vkey"])) == 1, "with the key of the first start"


async def test_a_second_process_signs_nothing_and_says_why(tmp_path):
    async with witness_of(tmp_path, LOG.vkey) as first:
        await first.add(LOG.request(0, 3))
        async with witness_of(tmp_path, LOG.vkey) as second:
            assert (await second.add(LOG.request(3, 4))).status == 503
            assert any("another process is the witness" in r for r in await second.reasons())
    async with witness_of(tmp_path, LOG.vkey) as again:
        assert (await again.add(LOG.request(3, 4))).status == 200


async def test_a_witness_without_its_key_or_with_a_damaged_memory_signs_nothing(tmp_path):
    async with witness_of(tmp_path, LOG.vkey) as witness:
        await witness.add(LOG.request(0, 3))
    [memory] = tmp_path.glob("*.checkpoint")
    kept = memory.read_text()
    memory.write_text("damaged")
    async with witness_of(tmp_path, LOG.vkey) as witness:
        assert (await witness.add(LOG.request(3, 4))).status == 503
        memory.write_text(kept)
        assert (await witness.add(LOG.request(3, 4))).status == 200
    (tmp_path / "witness.key").unlink()
    async with witness_of(tmp_path, LOG.vkey) as witness:
        assert (await witness.add(LOG.request(4, 5))).status == 503
        assert any("witness.key is gone" in reason for reason in await witness.reasons())


# Our own anchor at this witness.


async def test_an_anchor_has_each_checkpoint_cosigned(witness):
    async with anchoring(witness.anchor) as running:
        log = SealedLog()
        for size in (3, 8, 8, 300):
            receipt = await running.receipt_of(log.offer(size))
            assert times_of(receipt.receipt, size, witness.vkey) == [
                int(receipt.anchored_at.timestamp())
            ]
        assert log.proofs_asked == [(3, 8), (8, 300)]


async def test_an_anchor_learns_what_the_witness_has(witness):
    await witness.add(LOG.request(0, 5))
    log = SealedLog()
    async with anchoring(witness.anchor) as running:
        await running.receipt_of(log.offer(9))
    assert log.proofs_asked == [(5, 9)]


async def test_an_anchor_tells_a_fork_and_a_log_that_went_back(witness):
    await witness.add(LOG.request(0, 5))
    async with anchoring(witness.anchor) as running:
        running.anchors.offer(FORK.offer(9))
        assert "does not continue what it has signed: a fork" in await running.problem()
    async with anchoring(witness.anchor) as running:
        running.anchors.offer(LOG.offer(4))
        assert "has signed 5 leaves" in await running.problem()


async def test_an_anchor_tells_a_witness_that_does_not_know_the_log_or_its_key(witness):
    for log, says in (
        (SealedLog("podwarden-audit/other/0123456789abcdef"), "does not know the log"),
        (SealedLog(seed=b"x" * 32), "does not know the key"),
    ):
        async with anchoring(witness.anchor) as running:
            running.anchors.offer(log.offer(1))
            assert says in await running.problem()


async def test_an_anchor_takes_a_conflict_about_the_size_it_named_for_a_fork():
    async def conflict(_request: web.Request) -> web.Response:
        return web.Response(status=409, body=b"0\n", content_type="text/x.tlog.size")

    app = web.Application()
    app.router.add_post("/w/add-checkpoint", conflict)
    vkey = SignerKey("witness.example", COSIGNATURE, b"w" * 32).verifier
    async with (
        test_utils.TestServer(app, host="127.0.0.1") as server,
        anchoring(f"witness+{server.make_url('/w')}#{vkey}") as running,
    ):
        running.anchors.offer(LOG.offer(1))
        assert "a fork" in await running.problem()


async def test_an_anchor_tells_a_witness_with_another_key(witness):
    other = str(SignerKey("witness.example", COSIGNATURE, b"w" * 32).verifier)
    url = witness.anchor.replace(witness.vkey, other)
    async with anchoring(url) as running:
        running.anchors.offer(LOG.offer(1))
        assert "signs with another key" in await running.problem()
