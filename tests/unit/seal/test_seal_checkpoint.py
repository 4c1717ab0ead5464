import pytest

from audit_log.errors import SealFormatError, SignatureError
from audit_log.seal.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from audit_log.seal.keys import SignerKey
from audit_log.seal.note import Note, sign_note
from audit_log.seal.tree import EMPTY_ROOT

# The example of c2sp.org/tlog-checkpoint@v1.0.0.
C2SP_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
OLD = SignerKey("audit.example/log", 0x01, b"1" * 32)
NEW = SignerKey("audit.example/log", 0x01, b"2" * 32)
OTHER = SignerKey("audit.example/other", 0x01, b"3" * 32)
CHECKPOINT = Checkpoint("audit.example/log", 0, EMPTY_ROOT)


def test_the_example_of_the_specification_is_read_and_written():
    checkpoint = Checkpoint.parse(C2SP_TEXT)

    assert checkpoint.origin == "example.com/behind-the-sofa"
    assert checkpoint.size == 20852163
    assert checkpoint.root.hex().startswith("0ac5186a")
    assert str(checkpoint) == C2SP_TEXT


def test_a_signed_checkpoint_is_opened_with_its_logs_key():
    note = Note.parse(str(sign_checkpoint(CHECKPOINT, OLD)))

    assert open_checkpoint(note, [OTHER.verifier, OLD.verifier]) == CHECKPOINT


def test_a_key_that_is_being_replaced_and_the_new_one_sign_together():
    note = sign_checkpoint(CHECKPOINT, OLD, NEW)

    for keys in ([OLD.verifier], [NEW.verifier], [OLD.verifier, NEW.verifier]):
        assert open_checkpoint(note, keys) == CHECKPOINT


def test_another_logs_key_does_not_count():
    """A key that is trusted for one log could otherwise speak for all."""
    note = sign_note(str(CHECKPOINT), OTHER)

    with pytest.raises(SignatureError, match="not known"):
        open_checkpoint(note, [OTHER.verifier])
    with pytest.raises(SignatureError, match="not signed by"):
        open_checkpoint(note, [OTHER.verifier, OLD.verifier])


def test_a_log_signs_only_for_itself():
    with pytest.raises(SealFormatError, match="does not sign for"):
        sign_checkpoint(CHECKPOINT, OTHER)


def test_the_extension_lines_of_other_logs_are_kept():
    text = f"any origin + spaces\n5\n{ROOT}\nextension: 1\nanother\n"

    checkpoint = Checkpoint.parse(text)

    assert checkpoint.extensions == ("extension: 1", "another")
    assert str(checkpoint) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n5\n",
        f"origin\n5\n{ROOT}",
        f"\n5\n{ROOT}\n",
        f"origin\n\n5\n{ROOT}\n",
        f"origin\n5\n{ROOT}\n\n",
        f"origin\n5\n{ROOT}\n\nextension\n",
        f"origin\n05\n{ROOT}\n",
        f"origin\n-5\n{ROOT}\n",
        f"origin\n+5\n{ROOT}\n",
        f"origin\n5 \n{ROOT}\n",
        f"origin\n\N{ARABIC-INDIC DIGIT FIVE}\n{ROOT}\n",
        f"origin\n5_0\n{ROOT}\n",
        f"origin\n9223372036854775808\n{ROOT}\n",
        f"origin\n{'9' * 5000}\n{ROOT}\n",
        f"origin\n5\n{ROOT[:-1]}\n",
        f"origin\n5\n{ROOT.replace('I=', 'J=')}\n",
        f"origin\n5\n{ROOT[4:]}\n",
        f"origin\n5\n{ROOT[:20]} {ROOT[20:]}\n",
        f"origin\r\n5\r\n{ROOT}\r\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(SealFormatError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "values",
    [
        ("", 0, EMPTY_ROOT),
        ("two\nlines", 0, EMPTY_ROOT),
        ("origin", -1, EMPTY_ROOT),
        ("origin", 2**63, EMPTY_ROOT),
        ("origin", 1, b"short"),
        ("origin", 1, EMPTY_ROOT, ("",)),
    ],
)
def test_what_cannot_be_a_checkpoint_is_not_made(values):
    with pytest.raises(SealFormatError):
        Checkpoint(*values)
