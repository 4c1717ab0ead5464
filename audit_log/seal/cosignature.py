"""Cosignatures of c2sp.org/tlog-cosignature@v1.0.1: a witness signs by Ed25519, with the time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from audit_log.errors import SealFormatError, SignatureError
from audit_log.seal.checkpoint import Checkpoint
from audit_log.seal.encoding import LARGEST_SIZE
from audit_log.seal.keys import COSIGNATURE, SignerKey, VerifierKey
from audit_log.seal.note import Note, Signature

_TIME_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A witness's word: at this time, this was the largest checkpoint of the log that it knew."""

    witness: VerifierKey
    time: int
    """Seconds since 1970, by the witness's clock."""


def cosign(note: Note, key: SignerKey, time: int) -> Signature:
    """Return the line by which a witness signs the checkpoint of *note* at *time*.

    That the log only grew is for the caller to check. Raise SealFormatError when *note* is no
    checkpoint, or *key* not a witness's.
    """
    Checkpoint.parse(note.text)
    if key.verifier.type != COSIGNATURE:
        raise SealFormatError(
            f"the key of {key.verifier.name} is a log's; a witness needs its own"
        )
    if not 0 < time <= LARGEST_SIZE:
        raise SealFormatError(f"a cosignature's time is in seconds since 1970, not {time}")
    data = time.to_bytes(_TIME_BYTES) + key.sign(_message(note, time))
    return Signature(key.verifier.name, key.verifier.key_id, data)


def cosignatures(note: Note, witnesses: Sequence[VerifierKey]) -> list[Cosignature]:
    """Return the cosignatures of *note* by *witnesses*, whose keys are of type COSIGNATURE.

    Other lines are ignored: of unknown witnesses, and of known ones by another algorithm. Raise
    SignatureError when a line of one of *witnesses* is wrong: then the note was altered.
    """
    found = []
    for witness in witnesses:
        for line in note.signatures:
            if line.is_of(witness):
                time = int.from_bytes(line.data[:_TIME_BYTES])
                witness.verify(_message(note, time), line.data[_TIME_BYTES:])
                if time > LARGEST_SIZE:
                    raise SignatureError(f"the time of the cosignature by {witness.name} is none")
                found.append(Cosignature(witness, time))
    return found


def _message(note: Note, time: int) -> bytes:
    """Return what a witness signs."""
    return f"cosignature/v1\ntime {time}\n{note.text}".encode()
