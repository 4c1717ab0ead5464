import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.errors import SealFormatError, SignatureError
from audit_log.seal.keys import COSIGNATURE, SignerKey, VerifierKey
from audit_log.seal.note import Note, Signature, parse_signatures, sign_note

# The examples of c2sp.org/signed-note@v1.0.0, and of Go's sumdb/note.
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ON"
    "ncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKv"
    "qfqdngotpRZb6KE6RyyBwJnAM=\n"
)

LOG = SignerKey("audit.example/log", 0x01, b"1" * 32)
OTHER = SignerKey("audit.example/log", 0x01, b"2" * 32)
ELSEWHERE = SignerKey("other.example/log", 0x01, b"1" * 32)


def test_the_example_of_the_specification_verifies():
    key = VerifierKey.parse(C2SP_KEY)

    assert Note.parse(C2SP_NOTE).signed_by([key]) == [key]
    assert str(key) == C2SP_KEY


def test_what_is_signed_is_what_go_signs():
    secret = SignerKey.parse(GO_SECRET)

    assert str(secret.verifier) == GO_KEY
    assert secret.skey == GO_SECRET
    assert str(sign_note(GO_TEXT, secret)) == GO_NOTE


def test_a_note_is_read_as_it_was_written():
    note = sign_note("one\n\n\N{BULLET} two\n\n", LOG, OTHER)

    assert Note.parse(str(note)) == note
    assert Note.parse(str(note).encode()) == note


def test_it_is_said_which_of_the_keys_signed():
    note = sign_note("text\n", LOG, ELSEWHERE)

    keys = [OTHER.verifier, ELSEWHERE.verifier, LOG.verifier]

    assert note.signed_by(keys) == [ELSEWHERE.verifier, LOG.verifier]


def test_lines_of_unknown_keys_are_kept_and_ignored():
    """A line of another algorithm, or one that only shares a name or an id with ours."""
    strangers = (
        Signature("pq.example/w", b"\x06789", b"ml-dsa-44" * 300),
        Signature(LOG.verifier.name, OTHER.verifier.key_id, b"no signature"),
        Signature("other.example/log", LOG.verifier.key_id, b"no signature"),
    )
    note = Note("text\n", strangers).with_signatures(sign_note("text\n", LOG).signatures)

    assert Note.parse(str(note)) == note
    assert note.signed_by([LOG.verifier]) == [LOG.verifier]


def test_one_wrong_line_of_a_known_key_spoils_the_note():
    wrong = Signature(LOG.verifier.name, LOG.verifier.key_id, LOG.sign(b"other\n"))
    note = sign_note("text\n", LOG, ELSEWHERE).with_signatures([wrong])

    with pytest.raises(SignatureError, match=r"signature of audit\.example/log .* is wrong"):
        note.signed_by([ELSEWHERE.verifier, LOG.verifier])


@pytest.mark.parametrize("keys", [[], [OTHER.verifier]])
def test_a_note_that_no_trusted_key_signed_is_refused(keys):
    with pytest.raises(SignatureError, match="not signed by"):
        sign_note("text\n", LOG).signed_by(keys)


@given(st.data())
def test_no_bit_of_a_note_can_be_changed(data):
    whole = bytearray(str(sign_note("audit.example/log\n12\nroot\n", LOG)).encode())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises((SealFormatError, SignatureError)):
        Note.parse(bytes(whole)).signed_by([LOG.verifier])


LINE = str(sign_note("text\n", LOG).signatures[0])


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "text\n",
        "text\n\n",
        f"text\n{LINE}",
        f"text\n\n{LINE.rstrip()}",
        f"text\n\n{LINE}\n",
        f"text\n\n{LINE}more\n",
        f"text\r\n\n{LINE}",
        f"text\0\n\n{LINE}",
        f"text\n\n{LINE.replace('—', '-')}",
        f"text\n\n{LINE.replace('— ', '—')}",
        f"text\n\n{LINE.replace('— ', '—  ')}",
        f"text\n\n{LINE.replace('log ', 'log')}",
        f"text\n\n{LINE.replace('audit.', 'audit+')}",
        "text\n\n" + LINE.replace("audit.", "audit\N{NO-BREAK SPACE}"),
        f"text\n\n{LINE.replace('=', '')}",
        f"text\n\n{LINE[:-1]} \n",
        "text\n\n— name AAAAAA==\n",
        "text\n\n— name AAAAAAB=\n",
        f"text\n\n{LINE * 101}",
        b"text\xff\n\n" + LINE.encode(),
        b"\xed\xa0\x80\n\n" + LINE.encode(),
    ],
)
def test_what_is_no_note_is_refused(raw):
    with pytest.raises(SealFormatError):
        Note.parse(raw)


def test_a_note_of_a_hundred_signatures_is_read():
    assert len(parse_signatures(LINE * 100)) == 100


@pytest.mark.parametrize("text", ["", "no newline", "a\tb\n", "a\r\n", "\ud800\n"])
def test_what_cannot_be_a_note_is_not_signed(text):
    with pytest.raises(SealFormatError):
        sign_note(text, LOG)


def test_a_witness_key_signs_no_plain_note():
    with pytest.raises(SealFormatError, match="witness"):
        sign_note("text\n", SignerKey.new("w.example", COSIGNATURE))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\0b", "\ud800"])
def test_a_name_that_a_signature_line_cannot_hold_is_refused(name):
    with pytest.raises(SealFormatError, match="name"):
        SignerKey.new(name)


def test_a_name_that_a_witness_would_refuse_is_refused():
    assert SignerKey.new("ä" * 127)
    with pytest.raises(SealFormatError, match="255"):
        SignerKey.new("ä" * 128)


def test_under_a_weak_key_nothing_verifies():
    """For a point of small order a signature is made without a secret; libsodium refuses them."""
    weak = VerifierKey("audit.example/log", 0x01, b"\1".ljust(32, b"\0"))
    forged = weak.public + b"\0" * 32
    note = Note("text\n", (Signature(weak.name, weak.key_id, forged),))

    with pytest.raises(SignatureError, match="is wrong"):
        note.signed_by([weak])


@pytest.mark.parametrize(
    ("vkey", "message"),
    [
        ("", "form name"),
        ("name+12345678", "form name"),
        (C2SP_KEY.replace("530d903a", "530D903A"), "altered"),
        (C2SP_KEY.replace("530d903a", "530d903b"), "altered"),
        (C2SP_KEY.replace("foo", "bar"), "altered"),
        (C2SP_KEY + "=", "base64"),
        (C2SP_KEY.replace("+Aeky", "+BOky"), "altered|type"),
        ("example.com/foo+530d903a+", "no type"),
        ("example.com/foo+530d903a+AQAA", "has 2 bytes"),
        ("example.com/foo+530d903a+Bukyeg==", "type 0x06"),
    ],
)
def test_a_wrong_verifier_key_is_told(vkey, message):
    with pytest.raises(SealFormatError, match=message):
        VerifierKey.parse(vkey)


def test_a_new_key_is_read_again_and_is_no_other():
    key = SignerKey.new("audit.example/log")

    assert SignerKey.parse(key.skey).verifier == key.verifier
    assert SignerKey.new("audit.example/log").verifier != key.verifier


@pytest.mark.parametrize("cut", [0, 12, 20, 40, 75, len(GO_SECRET) - 1])
def test_a_damaged_secret_key_is_refused_and_never_quoted(cut):
    with pytest.raises(SealFormatError) as error:
        SignerKey.parse(GO_SECRET[:cut])

    assert "AYEKFALV" not in str(error.value)


def test_a_secret_key_given_as_a_public_one_is_told_and_never_quoted():
    with pytest.raises(SealFormatError, match="is a secret key") as error:
        VerifierKey.parse(GO_SECRET)

    assert "AYEKFALV" not in str(error.value)


def test_a_secret_key_does_not_show_itself():
    key = SignerKey.parse(GO_SECRET)

    assert "AYEKFALV" not in f"{key!r} {key} {key.verifier!r}"
