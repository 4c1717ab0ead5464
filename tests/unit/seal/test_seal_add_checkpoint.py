import pytest

from audit_log.errors import SealFormatError
from audit_log.seal.add_checkpoint import AddCheckpoint, parse_size_body, size_body
from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.keys import SignerKey
from audit_log.seal.proofs import consistency_proof, root_hash
from tests.unit.seal.merkle import node_of, some_leaves

LOG = SignerKey("audit.example/log", 0x01, b"1" * 32)
NODE = node_of(some_leaves(21))
NOTE = sign_checkpoint(Checkpoint("audit.example/log", 21, root_hash(21, NODE)), LOG)
HASH = "A" * 43 + "="


def test_a_request_is_read_as_it_was_written():
    for old_size in range(22):
        made = AddCheckpoint(old_size, tuple(consistency_proof(old_size, 21, NODE)), NOTE)

        assert AddCheckpoint.parse(str(made).encode()) == made


def test_a_request_has_the_form_of_the_specification():
    lines = str(AddCheckpoint(20, (b"\0" * 32,), NOTE)).split("\n")

    assert lines[:4] == ["old 20", HASH, "", "audit.example/log"]
    assert str(AddCheckpoint(0, (), NOTE)) == f"old 0\n\n{NOTE}"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "old 0\n",
        f"old 0\n{NOTE}",
        f"\nold 0\n\n{NOTE}",
        f"old 00\n\n{NOTE}",
        f"old -1\n\n{NOTE}",
        f"old\n\n{NOTE}",
        f"size 0\n\n{NOTE}",
        f"old 1\nAAAA\n\n{NOTE}",
        "old 1\n" + f"{HASH}\n" * 64 + f"\n{NOTE}",
        f"old 0\n\n{NOTE.text}",
        f"old 0\r\n\r\n{NOTE}",
        b"old 0\n\n\xff" + str(NOTE).encode(),
    ],
)
def test_what_is_no_request_is_refused(body):
    with pytest.raises(SealFormatError):
        AddCheckpoint.parse(body)


def test_the_size_that_a_witness_has_is_one_line():
    assert parse_size_body(size_body(20852014)) == 20852014
    for wrong in ("", "5", "05\n", "5\n\n", "five\n", b"\xff\n"):
        with pytest.raises(SealFormatError):
            parse_size_body(wrong)
