import pytest

from audit_log.errors import SealFormatError, SignatureError
from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.cosignature import Cosignature, cosign, cosignatures
from audit_log.seal.keys import COSIGNATURE, SignerKey
from audit_log.seal.note import Note, Signature, sign_note
from audit_log.seal.tree import EMPTY_ROOT

LOG = SignerKey("audit.example/log", 0x01, b"1" * 32)
WITNESS = SignerKey("witness.example/w1", COSIGNATURE, b"2" * 32)
OTHER = SignerKey("witness.example/w2", COSIGNATURE, b"3" * 32)
NOTE = sign_checkpoint(Checkpoint("audit.example/log", 0, EMPTY_ROOT), LOG)
TIME = 1679315147


def cosigned(*lines: Signature) -> Note:
    return Note.parse(str(NOTE.with_signatures(lines)))


def test_a_witness_signs_the_checkpoint_and_the_time():
    line = cosign(NOTE, WITNESS, TIME)

    assert line.data[:8] == TIME.to_bytes(8)
    WITNESS.verifier.verify(
        b"cosignature/v1\ntime 1679315147\n" + NOTE.text.encode(), line.data[8:]
    )


def test_cosignatures_are_found_beside_the_logs_signature():
    note = cosigned(cosign(NOTE, OTHER, TIME), cosign(NOTE, WITNESS, TIME + 1))

    assert cosignatures(note, [WITNESS.verifier, OTHER.verifier]) == [
        Cosignature(WITNESS.verifier, TIME + 1),
        Cosignature(OTHER.verifier, TIME),
    ]
    assert cosignatures(note, [OTHER.verifier]) == [Cosignature(OTHER.verifier, TIME)]
    assert note.signed_by([LOG.verifier]) == [LOG.verifier]


def test_lines_of_another_algorithm_and_of_strangers_are_ignored():
    """A witness may sign by ML-DSA-44 too, under the same name."""
    pq = Signature(WITNESS.verifier.name, b"\x06abc", b"\0" * 2428)
    note = cosigned(pq, cosign(NOTE, OTHER, TIME), cosign(NOTE, WITNESS, TIME))

    assert len(note.signatures) == 4
    assert cosignatures(note, [WITNESS.verifier]) == [Cosignature(WITNESS.verifier, TIME)]
    assert cosignatures(cosigned(pq), [WITNESS.verifier]) == []


@pytest.mark.parametrize("place", [0, 7, 8, 71])
def test_an_altered_cosignature_is_refused(place):
    line = cosign(NOTE, WITNESS, TIME)
    data = bytearray(line.data)
    data[place] ^= 1

    with pytest.raises(SignatureError, match=r"witness\.example/w1 .* is wrong"):
        cosignatures(cosigned(Signature(line.name, line.key_id, bytes(data))), [WITNESS.verifier])


@pytest.mark.parametrize("length", [1, 8, 9, 71])
def test_a_cut_cosignature_is_refused(length):
    line = cosign(NOTE, WITNESS, TIME)
    cut = Signature(line.name, line.key_id, line.data[:length])

    with pytest.raises(SignatureError):
        cosignatures(cosigned(cut), [WITNESS.verifier])


def test_a_cosignature_of_another_checkpoint_is_refused():
    later = sign_checkpoint(Checkpoint("audit.example/log", 1, EMPTY_ROOT), LOG)

    with pytest.raises(SignatureError):
        cosignatures(later.with_signatures([cosign(NOTE, WITNESS, TIME)]), [WITNESS.verifier])


def test_a_time_that_no_clock_shows_is_refused():
    time = 2**63
    message = f"cosignature/v1\ntime {time}\n{NOTE.text}".encode()
    data = time.to_bytes(8) + WITNESS.sign(message)
    line = Signature(WITNESS.verifier.name, WITNESS.verifier.key_id, data)

    with pytest.raises(SignatureError, match="time"):
        cosignatures(cosigned(line), [WITNESS.verifier])
    for wrong in (-1, 0, 2**63):
        with pytest.raises(SealFormatError, match="time"):
            cosign(NOTE, WITNESS, wrong)


def test_a_log_is_no_witness_and_a_witness_signs_checkpoints_alone():
    with pytest.raises(SealFormatError, match="witness needs its own"):
        cosign(NOTE, LOG, TIME)
    with pytest.raises(SealFormatError, match="checkpoint"):
        cosign(sign_note("text\n", LOG), WITNESS, TIME)
