"""What we write is judged by tools that we did not write, intact and altered."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit_log.seal.checkpoint import Checkpoint, sign_checkpoint
from audit_log.seal.cosignature import cosign
from audit_log.seal.keys import SignerKey
from audit_log.seal.note import Note
from audit_log.seal.tiles import Tile, bundle_path
from tests.seal.environment import go_verifier, python_verifier
from tests.seal.sealed_log import LOG, WITNESS, SealedLog, note

Claim = dict[str, Any]
Judge = Callable[[Sequence[Claim]], list[str | None]]
# Tiles of three levels; sizes around the powers of two, and of tiles.
LEAVES = [b'["record",%d,"GET /api/v1/servers",200]' % place for place in range(66_000)]
SIZES = [1, 2, 3, 7, 8, 9, 255, 256, 257, 65_535, 65_536, 65_537, 66_000]
BIT = 5


@pytest.fixture(scope="module")
def log() -> SealedLog:
    return SealedLog.of(LEAVES, SIZES)


@pytest.fixture(scope="module", params=["aics", "metamorphic", "sumdb"])
def judge(request: pytest.FixtureRequest) -> Judge:
    """Returns for each claim None when a tool accepts it, else what it says against it."""
    return judge_of(request.param)


@pytest.fixture(scope="module", params=["aics", "sumdb"])
def judge_of_tiles(request: pytest.FixtureRequest) -> Judge:
    """As `judge`, of the tools that read tiles."""
    return judge_of(request.param)


@pytest.fixture(scope="module")
def aics() -> Judge:
    return judge_of("aics")


def judge_of(name: str) -> Judge:
    command = go_verifier(name) if name == "sumdb" else python_verifier(name)

    def judged(claims: Sequence[Claim]) -> list[str | None]:
        ran = subprocess.run(
            command, input=json.dumps(claims), capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        said: list[str | None] = json.loads(ran.stdout)
        assert len(said) == len(claims)
        return said

    return judged


def intact(log: SealedLog) -> list[Claim]:
    claims = [log.checkpoint(size) for size in SIZES]
    for size in SIZES:
        claims += [log.inclusion(index, size) for index in sorted({0, size // 3, size - 1})]
        claims += [log.consistency(old, size) for old in SIZES if old <= size]
    return claims


def test_what_we_write_is_accepted(judge, log):
    claims = intact(log)

    said = judge(claims)

    assert [(claim, why) for claim, why in zip(claims, said, strict=True) if why] == []


def test_what_is_altered_is_refused(judge, log):
    claims = [altered for claim in intact(log) for altered in alterations(claim, log)]

    said = judge(claims)

    accepted = [claim for claim, why in zip(claims, said, strict=True) if why is None]
    assert accepted == []
    assert len(claims) > 500


def alterations(claim: Claim, log: SealedLog) -> Iterator[Claim]:
    """Yield the claim with one thing changed, in each of many ways."""
    other = SignerKey(LOG.verifier.name, 0x01, b"3" * 32)
    checkpoint = Checkpoint.parse(Note.parse(claim["note"]).text)
    yield claim | {"note": flipped_text(claim["note"])}
    yield claim | {"note": note(checkpoint.size, checkpoint.root, other)}
    if claim["kind"] == "checkpoint":
        yield claim | {"vkey": str(other.verifier)}
        return
    # A checkpoint that the log itself signed, of another tree: a fork.
    yield claim | {"note": note(checkpoint.size, flipped(checkpoint.root))}
    proof = claim["proof"]
    yield claim | {"proof": [*proof, base64.b64encode(b"\0" * 32).decode()]}
    for place, hash_ in enumerate(proof):
        wrong = base64.b64encode(flipped(base64.b64decode(hash_))).decode()
        yield claim | {"proof": [*proof[:place], wrong, *proof[place + 1 :]]}
        yield claim | {"proof": [*proof[:place], *proof[place + 1 :]]}
    if claim["kind"] == "inclusion":
        yield claim | {"leaf": base64.b64encode(flipped(base64.b64decode(claim["leaf"]))).decode()}
        yield claim | {"index": (claim["index"] + 1) % checkpoint.size or checkpoint.size}
    else:
        old = Checkpoint.parse(Note.parse(claim["old_note"]).text)
        yield claim | {"old_note": note(old.size, flipped(old.root))}


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1 << BIT, *data[1:]])


def flipped_text(text: str) -> str:
    """Return a note with another size, signed as before."""
    origin, size, rest = text.split("\n", 2)
    return f"{origin}\n{int(size) + 1}\n{rest}"


def tiles_claim(log: SealedLog, folder: Path) -> Claim:
    return log.checkpoint(log.size) | {
        "kind": "tiles",
        "folder": str(folder),
        "indexes": [0, 255, 300, 40_000, 65_535, 65_536, 257 * 256, log.size - 1],
    }


def test_tiles_and_entries_that_we_write_are_accepted(judge_of_tiles, log, tmp_path):
    assert judge_of_tiles([tiles_claim(log, log.write(tmp_path))]) == [None]


@pytest.mark.parametrize(
    "path",
    [
        str(Tile(0, 0)),
        str(Tile(0, 257, 208)),
        str(Tile(1, 0)),
        str(Tile(1, 1, 1)),
        str(Tile(2, 0, 1)),
        bundle_path(0),
        bundle_path(257, 208),
    ],
)
def test_an_altered_tile_or_entry_is_refused(judge_of_tiles, log, tmp_path, path):
    claim = tiles_claim(log, log.write(tmp_path))
    whole = (tmp_path / path).read_bytes()

    # In the first hash, and of an entry behind its length.
    (tmp_path / path).write_bytes(whole[:8] + flipped(whole[8:]))
    [bit] = judge_of_tiles([claim])
    (tmp_path / path).write_bytes(whole[:-1])
    [cut] = judge_of_tiles([claim])
    (tmp_path / path).unlink()
    [missing] = judge_of_tiles([claim])

    assert all((bit, cut, missing)), (bit, cut, missing)


def test_aics_tlog_writes_the_same_files(aics, log, tmp_path):
    claim = tiles_claim(log, log.write(tmp_path)) | {
        "kind": "written",
        "tile": str(Tile(0, 1_234_067)),
        "bundle": bundle_path(1, 5),
    }

    assert aics([claim]) == [None]


def test_aics_tlog_signs_and_cosigns_the_same_note(aics, log):
    checkpoint = Checkpoint.parse(Note.parse(log.notes[257]).text)
    signed = sign_checkpoint(checkpoint, LOG)
    both = signed.with_signatures([cosign(signed, WITNESS, 1_700_000_000)])
    seeds = [base64.b64encode(seed * 32).decode() for seed in (b"1", b"2")]

    claim = {"kind": "signed", "note": str(both), "vkey": str(LOG.verifier), "seeds": seeds}

    assert aics([claim]) == [None]


def test_gos_checksum_database_signs_the_same_note(log):
    signed = sign_checkpoint(Checkpoint.parse(Note.parse(log.notes[257]).text), LOG)

    claim = {"kind": "signed", "note": str(signed), "vkey": str(LOG.verifier), "skey": LOG.skey}

    assert judge_of("sumdb")([claim]) == [None]


def test_cosignatures_count_for_aics_tlog_unless_they_are_altered(aics, log):
    wanted = {"witnesses": [str(WITNESS.verifier)], "quorum": 1}
    claim = log.checkpoint(257) | wanted
    whole = Note.parse(claim["note"])
    log_line, cosigned, _ = whole.signatures
    later = Note.parse(log.notes[256]).signatures[1]

    [said, without, elsewhere] = aics(
        [
            claim,
            claim | {"note": str(Note(whole.text, (log_line,)))},
            claim | {"note": str(Note(whole.text, (log_line, later)))},
        ]
    )

    assert said is None
    assert without and elsewhere
    assert cosigned != later


def test_openssl_verifies_the_signature_of_a_note(log, tmp_path):
    whole = Note.parse(log.notes[257])
    # An Ed25519 key in DER is these bytes and the 32 of the key (RFC 8410).
    (tmp_path / "key.der").write_bytes(
        bytes.fromhex("302a300506032b6570032100") + LOG.verifier.public
    )
    (tmp_path / "signature").write_bytes(whole.signatures[0].data)

    def is_verified(text: str) -> bool:
        (tmp_path / "text").write_text(text)
        verify = ("openssl", "pkeyutl", "-verify", "-rawin", "-in", "text")
        key = ("-pubin", "-keyform", "DER", "-inkey", "key.der", "-sigfile", "signature")
        ran = subprocess.run([*verify, *key], cwd=tmp_path, capture_output=True, check=False)
        return ran.returncode == 0

    assert is_verified(whole.text)
    assert not is_verified(flipped_text(whole.text))
