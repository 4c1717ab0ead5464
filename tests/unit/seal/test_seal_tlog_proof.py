import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.errors import ProofError, SealError, SealFormatError, SignatureError
from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.cosignature import cosign
from audit_log.seal.keys import COSIGNATURE, SignerKey
from audit_log.seal.policy import Log, Policy, Witness
from audit_log.seal.proofs import inclusion_proof, root_hash
from audit_log.seal.tlog_proof import TlogProof
from tests.unit.seal.merkle import node_of, some_leaves

LEAVES = some_leaves(21)
NODE = node_of(LEAVES)
LOG = SignerKey("audit.example/log", 0x01, b"1" * 32)
WITNESS = SignerKey("witness.example/w1", COSIGNATURE, b"2" * 32)
CHECKPOINT = Checkpoint("audit.example/log", 21, root_hash(21, NODE))
SIGNED = sign_checkpoint(CHECKPOINT, LOG)
NOTE = SIGNED.with_signatures([cosign(SIGNED, WITNESS, 1)])
POLICY = Policy((Log(LOG.verifier),), (Witness("w", WITNESS.verifier),), (), "w")


def proof(index: int, extra: bytes | None = None) -> TlogProof:
    return TlogProof(index, tuple(inclusion_proof(index, 21, NODE)), NOTE, extra)


@pytest.mark.parametrize("extra", [None, b"", b"how to read it"])
def test_a_proof_is_read_as_it_was_written_and_verifies(extra):
    for index, leaf in enumerate(LEAVES):
        made = proof(index, extra)
        read = TlogProof.parse(str(made))

        assert read == made
        assert read.verify(leaf, POLICY).checkpoint == CHECKPOINT


def test_a_proof_has_the_form_of_the_specification():
    lines = str(proof(20, b"\0\0\0")).split("\n")

    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra AAAA", "index 20"]
    assert lines[5:7] == ["", "audit.example/log"]


def test_the_only_leaf_of_a_log_needs_no_hashes():
    note = sign_checkpoint(Checkpoint("audit.example/log", 1, root_hash(1, NODE)), LOG)
    policy = Policy((Log(LOG.verifier),))

    text = str(TlogProof(0, (), note))

    assert text.startswith("c2sp.org/tlog-proof@v1\nindex 0\n\naudit.example/log\n1\n")
    assert TlogProof.parse(text).verify(LEAVES[0], policy)


def test_another_entry_place_log_or_policy_is_refused():
    made = proof(5)

    with pytest.raises(ProofError):
        made.verify(LEAVES[6], POLICY)
    with pytest.raises(ProofError):
        TlogProof(6, made.hashes, NOTE).verify(LEAVES[5], POLICY)
    with pytest.raises(SignatureError):
        TlogProof(5, made.hashes, SIGNED).verify(LEAVES[5], POLICY)
    with pytest.raises(SignatureError):
        made.verify(LEAVES[5], Policy(()))


@given(st.data())
def test_no_bit_of_a_proof_can_be_changed(data):
    whole = bytearray(str(proof(data.draw(st.sampled_from([0, 7, 20])))).encode())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(SealError):
        read = TlogProof.parse(bytes(whole))
        read.verify(LEAVES[read.index % 21] if read.index in {0, 7, 20} else b"", POLICY)


HEAD = "c2sp.org/tlog-proof@v1\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEAD,
        f"{HEAD}\n{NOTE}",
        f"c2sp.org/tlog-proof@v2\nindex 0\n\n{NOTE}",
        f"{HEAD}index 0\n{NOTE}",
        f"{HEAD}index 00\n\n{NOTE}",
        f"{HEAD}index -1\n\n{NOTE}",
        f"{HEAD}index\n\n{NOTE}",
        f"{HEAD}Index 0\n\n{NOTE}",
        f"{HEAD}extra\nindex 0\n\n{NOTE}",
        f"{HEAD}extra A\nindex 0\n\n{NOTE}",
        f"{HEAD}index 0\nextra AAAA\n\n{NOTE}",
        f"{HEAD}extra AAAA\nextra AAAA\nindex 0\n\n{NOTE}",
        f"{HEAD}index 0\nAAAA\n\n{NOTE}",
        f"{HEAD}index 0\n\n\n{NOTE}",
        f"{HEAD}index 0\n\n",
        f"{HEAD}index 0\n\n{SIGNED.text}",
        f"{HEAD}index 0\r\n\r\n{NOTE}",
        f"\n{HEAD}index 0\n\n{NOTE}",
    ],
)
def test_what_is_no_proof_is_refused(text):
    with pytest.raises(SealFormatError):
        TlogProof.parse(text).verify(b"", POLICY)
