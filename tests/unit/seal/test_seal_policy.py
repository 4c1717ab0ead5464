import pytest

from audit_log.errors import SealFormatError, SignatureError
from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.cosignature import cosign
from audit_log.seal.keys import COSIGNATURE, SignerKey
from audit_log.seal.note import Note, Signature
from audit_log.seal.policy import Group, Log, Policy, Witness
from audit_log.seal.policy_file import parse_policy
from audit_log.seal.tree import EMPTY_ROOT


def witness(name: str) -> SignerKey:
    return SignerKey(f"witness.example/{name}", COSIGNATURE, name.encode().ljust(32))


LOG = SignerKey("audit.example/log", 0x01, b"1" * 32)
NEXT = SignerKey("audit.example/log", 0x01, b"2" * 32)
WITNESSES = {name: witness(name) for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")}
VKEY, W = str(LOG.verifier), {name: str(key.verifier) for name, key in WITNESSES.items()}
NOTE = sign_checkpoint(Checkpoint("audit.example/log", 0, EMPTY_ROOT), LOG)

# The example of the specification, with keys.
EXAMPLE = f"""
log {VKEY}

witness X1 {W["X1"]}
witness X2 {W["X2"]}
witness X3 {W["X3"]}
group X-witnesses 2 X1 X2 X3

witness Y1 {W["Y1"]}
witness Y2 {W["Y2"]}
witness Y3 {W["Y3"]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def cosigned(*names: str) -> Note:
    return NOTE.with_signatures(cosign(NOTE, WITNESSES[name], 1) for name in names)


@pytest.mark.parametrize(
    ("names", "is_met"),
    [
        ("", False),
        ("X1 X2 X3", False),
        ("Y1 Y2 Y3", False),
        ("X1 Y1", False),
        ("X1 X2 Y3", True),
        ("X1 X2 X3 Y1 Y2 Y3", True),
    ],
)
def test_the_example_of_the_specification_needs_two_of_three_and_one_of_three(names, is_met):
    policy = parse_policy(EXAMPLE.encode())
    note = cosigned(*names.split())

    if is_met:
        witnessed = policy.open(note)
        assert witnessed.checkpoint == Checkpoint.parse(NOTE.text)
        assert len(witnessed.cosignatures) == len(names.split())
    else:
        with pytest.raises(SignatureError, match="the quorum is X-and-Y, cosigned have"):
            policy.open(note)


def test_a_policy_is_read_as_it_was_written():
    policy = Policy(
        (Log(LOG.verifier, "https://audit.example/log"), Log(NEXT.verifier)),
        tuple(Witness(name, key.verifier) for name, key in WITNESSES.items()),
        (Group("some", 2, ("X1", "X2", "Y1")),),
        "some",
    )

    assert parse_policy(str(policy).encode()) == policy
    assert str(parse_policy(EXAMPLE.encode())).endswith("quorum X-and-Y\n")


def test_blanks_comments_tabs_urls_and_any_octets_are_read():
    raw = (
        b"  # a comment, \xff and all\n\t\n"
        b"\t log\t" + VKEY.encode() + b"  https://\xc3\xa4.example/ \n"
        b"witness \xff\xfe " + W["X1"].encode() + b" \xfe\n"
        b"witness K " + W["X2"].encode() + b"\n"
        b"witness \xe2\x84\xaa " + W["X3"].encode() + b"\n"
        b"quorum \xff\xfe\n"
    )
    policy = parse_policy(raw)

    assert policy.logs[0].url == "https://ä.example/"
    assert [one.name for one in policy.witnesses] == ["\udcff\udcfe", "K", "\N{KELVIN SIGN}"]
    assert policy.open(cosigned("X1"))
    with pytest.raises(SignatureError):
        policy.open(cosigned("X2", "X3"))


def test_without_a_quorum_the_logs_signature_is_enough_but_needed():
    policy = parse_policy(f"log {VKEY}\nquorum none\n".encode())

    assert policy.open(NOTE).cosignatures == ()
    with pytest.raises(SignatureError, match="not signed by"):
        policy.open(sign_checkpoint(Checkpoint.parse(NOTE.text), NEXT))
    with pytest.raises(SignatureError, match="not known"):
        parse_policy(b"quorum none\n").open(NOTE)


def test_a_wrong_cosignature_spoils_the_checkpoint():
    policy = parse_policy(f"log {VKEY}\nwitness X1 {W['X1']}\nquorum none\n".encode())
    good = cosign(NOTE, WITNESSES["X1"], 1)
    wrong = Signature(good.name, good.key_id, b"\0" * 72)

    with pytest.raises(SignatureError, match="is wrong"):
        policy.open(NOTE.with_signatures([wrong]))


def test_a_long_chain_of_groups_is_judged():
    lines = [f"witness X1 {W['X1']}", "group g0 all X1"]
    lines += [f"group g{place + 1} any g{place}" for place in range(3000)]
    policy = parse_policy("".join(f"{line}\n" for line in [*lines, "quorum g3000"]).encode())

    assert policy.is_met_by(["X1"])
    assert not policy.is_met_by([])


ONE = f"log {VKEY}\nwitness X1 {W['X1']}\nwitness X2 {W['X2']}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no quorum line: add `quorum"),
        (ONE, "no quorum line"),
        (f"{ONE}quorum X1", "line 4 of the policy does not end in a newline"),
        (f"{ONE}quorum X1\nquorum X2\n", "line 5 .* a quorum line already"),
        (f"{ONE}quorum none\nquorum none\n", "line 5 .* a quorum line already"),
        (f"{ONE}quorum X3\n", "line 4 .* no line before defines the quorum 'X3'"),
        (f"quorum X1\n{ONE}", "line 1 .* no line before defines the quorum 'X1'"),
        (f"{ONE}quorum\n", r"line 4 .* form: quorum <name>\|none"),
        (f"{ONE}quorum X1 X2\n", "line 4 .* form: quorum"),
        (f"{ONE}Quorum X1\n", "line 4 .* one of log, witness, group, quorum"),
        (f"{ONE}log {VKEY}\n", "line 4 .* in the policy already"),
        (f"{ONE}witness X3 {W['X1']}\n", "line 4 .* in the policy already"),
        (f"{ONE}witness X3 {witness('X1').verifier}\n", "line 4 .* in the policy already"),
        (f"{ONE}witness X1 {W['X3']}\n", "line 4 .* the name 'X1' is taken"),
        (f"{ONE}witness none {W['X3']}\n", "line 4 .* the name 'none' is taken"),
        (f"{ONE}witness X3 {VKEY}\n", "line 4 .* type 0x01; a witness has one of 0x04"),
        (f"log {W['X1']}\n", "line 1 .* type 0x04; a log has one of 0x01"),
        (f"log {VKEY.replace('+', '+0', 1)}\n", "line 1 .* altered"),
        ("log a+b+c\n", "line 1 .* base64"),
        ("log\n", r"line 1 .* form: log <vkey> \[<url>\]"),
        (f"log {VKEY} url more\n", "line 1 .* form: log"),
        (f"witness {W['X3']}\n", "line 1 .* form: witness"),
        (f"{ONE}group g all\n", "line 4 .* form: group"),
        (f"{ONE}group g 0 X1\n", "line 4 .* cannot need 0 of them"),
        (f"{ONE}group g 3 X1 X2\n", "line 4 .* group of 2 cannot need 3"),
        (f"{ONE}group g 01 X1\n", "line 4 .* decimal"),
        (f"{ONE}group g some X1\n", "line 4 .* decimal"),
        (f"{ONE}group g all X1 X3\n", "line 4 .* no line before defines the member 'X3'"),
        (f"{ONE}group g all X1 none\n", "line 4 .* no line before defines the member 'none'"),
        (f"{ONE}group g all g\n", "line 4 .* no line before defines the member 'g'"),
        (f"{ONE}group g any X1 X1\n", "line 4 .* 'X1' is in a group already"),
        (f"{ONE}group g any X1\ngroup h any X1\n", "line 5 .* 'X1' is in a group already"),
        (f"{ONE}group X1 any X2\n", "line 4 .* the name 'X1' is taken"),
        (f"{ONE}quorum X1\r\n", "line 4 .* byte 0x0d is not allowed"),
        (f"{ONE}# \x7f\n", "line 4 .* byte 0x7f is not allowed"),
        (f"{ONE}\f\n", "line 4 .* byte 0x0c is not allowed"),
    ],
)
def test_a_wrong_policy_is_told_with_its_line(text, message):
    with pytest.raises(SealFormatError, match=message):
        parse_policy(text.encode())


def test_two_keys_of_one_log_are_believed_while_it_changes_its_key():
    policy = parse_policy(f"log {VKEY}\nlog {NEXT.verifier}\nquorum none\n".encode())
    later = sign_checkpoint(Checkpoint.parse(NOTE.text), NEXT)

    assert policy.open(NOTE) == policy.open(later)
