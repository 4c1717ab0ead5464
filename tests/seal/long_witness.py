"""aics-witness, which we did not write, cosigns what grows, and what it says is read."""

import json
import subprocess
from collections.abc import Sequence

from audit_log.seal.add_checkpoint import SIZE_TYPE, AddCheckpoint, read_size
from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.keys import SignerKey, VerifierKey
from audit_log.seal.note import Note, parse_signatures
from audit_log.seal.policy import Log, Policy, Witness
from audit_log.seal.proofs import consistency_proof, root_hash
from audit_log.seal.tree import leaf_hash
from tests.seal.environment import python_verifier
from tests.unit.seal.merkle import node_of, some_leaves

LOG = SignerKey("audit.example/log", 0x01, b"1" * 32)
NODE = node_of(some_leaves(300))


def note(size: int, root: bytes | None = None, key: SignerKey = LOG) -> Note:
    checkpoint = Checkpoint(key.verifier.name, size, root or root_hash(size, NODE))
    return sign_checkpoint(checkpoint, key)


def growth(old_size: int, size: int) -> AddCheckpoint:
    return AddCheckpoint(old_size, tuple(consistency_proof(old_size, size, NODE)), note(size))


def asked(requests: Sequence[AddCheckpoint]) -> tuple[VerifierKey, list[tuple[int, str, str]]]:
    """Return the key of a new witness, and status, type and body of each response."""
    question = {"vkey": str(LOG.verifier), "bodies": [str(request) for request in requests]}
    ran = subprocess.run(
        python_verifier("witness"),
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    return VerifierKey.parse(said["vkey"]), [tuple(one) for one in said["responses"]]


def test_a_log_that_grows_is_cosigned_and_the_cosignature_meets_a_policy():
    requests = [growth(0, 1), growth(1, 2), growth(2, 255), growth(255, 300), growth(300, 300)]

    key, responses = asked(requests)

    policy = Policy((Log(LOG.verifier),), (Witness("w", key),), (), "w")
    for request, (status, _, body) in zip(requests, responses, strict=True):
        assert status == 200, body
        witnessed = policy.open(request.note.with_signatures(parse_signatures(body)))
        assert str(witnessed.checkpoint) == request.note.text


def test_a_stale_request_learns_the_size_that_the_witness_has():
    _, [_, (status, media_type, body)] = asked([growth(0, 200), growth(100, 300)])

    assert (status, media_type) == (409, SIZE_TYPE)
    assert read_size(body.encode()) == 200


def test_forks_wrong_proofs_keys_and_strangers_are_refused():
    wrong = growth(200, 300)
    fork = leaf_hash(b"another log")
    other = SignerKey(LOG.verifier.name, 0x01, b"2" * 32)
    _, responses = asked(
        [
            growth(0, 200),
            AddCheckpoint(200, (), note(200, fork)),
            AddCheckpoint(200, wrong.proof[1:], wrong.note),
            AddCheckpoint(200, wrong.proof, note(300, fork)),
            AddCheckpoint(200, wrong.proof, note(300, key=other)),
            AddCheckpoint(200, wrong.proof, note(300, key=SignerKey.new("another.example/log"))),
            wrong,
        ]
    )

    assert [status for status, _, _ in responses] == [200, 422, 422, 422, 403, 404, 200]
