"""The request of c2sp.org/tlog-witness@v1.0.0 by which a log asks a witness to cosign."""

from dataclasses import dataclass
from typing import Final, Self

from audit_log.errors import SealFormatError
from audit_log.seal.encoding import base64_text, hash_bytes, number
from audit_log.seal.note import Note, checked_text

MAX_HASHES: Final = 63
"""Of the consistency proof. No tree of less than 2^63 leaves needs more."""
SIZE_TYPE: Final = "text/x.tlog.size"
"""The media type of a 409 whose body is the size that the witness has."""


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A checkpoint, and the proof that it begins with the one that the witness knows."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note

    def __str__(self) -> str:
        """Return the body of the request."""
        lines = (f"old {self.old_size}", *map(base64_text, self.proof))
        return "".join(f"{line}\n" for line in lines) + f"\n{self.note}"

    @classmethod
    def parse(cls, raw: str | bytes) -> Self:
        """Return the request of a body; raise SealFormatError when it is none."""
        head, blank, note = checked_text(raw).partition("\n\n")
        first, *hashes = head.split("\n")
        if not blank or not first.startswith("old ") or len(hashes) > MAX_HASHES:
            raise SealFormatError(
                f"a request to a witness begins with `old SIZE` and at most {MAX_HASHES} hashes, "
                "one a line, and has an empty line before the checkpoint"
            )
        old_size = number(first.removeprefix("old "), "the old size")
        proof = tuple(hash_bytes(line, "a hash of the consistency proof") for line in hashes)
        return cls(old_size, proof, Note.parse(note))


def size_body(size: int) -> str:
    """Return the body of a 409: the size of the checkpoint that the witness has."""
    return f"{size}\n"


def parse_size_body(raw: str | bytes) -> int:
    """Return the size in the body of a 409 of type SIZE_TYPE; raise SealFormatError."""
    text = checked_text(raw)
    if not text.endswith("\n"):
        raise SealFormatError("the size of a witness's checkpoint ends in a newline")
    return number(text.removesuffix("\n"), "the size of a witness's checkpoint")
