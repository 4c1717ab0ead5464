"""Messages of c2sp.org/tlog-witness: how a log asks a witness for its cosignature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from audit_log.errors import SealFormatError
from audit_log.seal.encoding import base64_text, hash_bytes, number
from audit_log.seal.note import Note, checked_text

MAX_PROOF_LINES: Final = 63
MAX_BYTES: Final = 64 * 1024
"""Of a request: far more than the proof and 100 signature lines take."""
SIZE_TYPE: Final = "text/x.tlog.size"
"""The content type of a response that says which size the witness has."""
_OLD: Final = "old "


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """The request: a signed checkpoint, and the proof that it continues the one of *old_size*."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note

    @classmethod
    def of(cls, old_size: int, proof: Sequence[bytes], note: Note) -> Self:
        """Return the request; raise SealFormatError when the proof is too long."""
        if len(proof) > MAX_PROOF_LINES:
            raise SealFormatError(
                f"a consistency proof has at most {MAX_PROOF_LINES} hashes, not {len(proof)}"
            )
        return cls(old_size, tuple(proof), note)

    def __str__(self) -> str:
        """Return the body of the request."""
        proof = "".join(f"{base64_text(part)}\n" for part in self.proof)
        return f"{_OLD}{self.old_size}\n{proof}\n{self.note}"

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Return the request in *body*; raise SealFormatError."""
        head, blank, note = checked_text(body).partition("\n\n")
        old, *proof = head.split("\n")
        if not blank or not old.startswith(_OLD):
            raise SealFormatError(
                "a request is a line 'old SIZE', the lines of a proof, an empty line and a "
                "signed checkpoint"
            )
        hashes = [hash_bytes(line, "a hash of the consistency proof") for line in proof]
        return cls.of(number(old.removeprefix(_OLD), "the old size"), hashes, Note.parse(note))


def size_text(size: int) -> str:
    """Return the body of a response that says which size the witness has."""
    return f"{size}\n"


def read_size(body: bytes) -> int:
    """Return the size in the body of such a response; raise SealFormatError."""
    text, newline, rest = checked_text(body).partition("\n")
    if not newline or rest:
        raise SealFormatError("the size of a witness is one line")
    return number(text, "the size of a witness")
