"""Proofs of one entry as in c2sp.org/tlog-proof@v1: one text with all that a check needs."""

from dataclasses import dataclass
from typing import Final, Self

from audit_log.errors import SealFormatError
from audit_log.seal.encoding import base64_bytes, base64_text, hash_bytes, number
from audit_log.seal.note import Note, checked_text
from audit_log.seal.policy import Policy, Witnessed
from audit_log.seal.proofs import verify_inclusion
from audit_log.seal.tree import leaf_hash

_FIRST: Final = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class TlogProof:
    """That an entry is in a log, with the log's checkpoint. `str()` gives the file."""

    index: int
    hashes: tuple[bytes, ...]
    """The inclusion proof, the leaf's neighbour first."""
    note: Note
    """The checkpoint as it was signed and cosigned."""
    extra: bytes | None = None
    """What the maker added. Nobody signed it."""

    def __str__(self) -> str:
        """Return the text of a `.tlog-proof` file."""
        extra = [] if self.extra is None else [f"extra {base64_text(self.extra)}"]
        lines = [_FIRST, *extra, f"index {self.index}", *map(base64_text, self.hashes)]
        return "".join(f"{line}\n" for line in lines) + f"\n{self.note}"

    @classmethod
    def parse(cls, raw: str | bytes) -> Self:
        """Return the proof that *raw* is; raise SealFormatError when it is none."""
        head, blank, note = checked_text(raw).partition("\n\n")
        match head.split("\n"):
            case [first, *lines] if first == _FIRST and blank:
                extra = None
                if lines and lines[0].startswith("extra "):
                    text = lines.pop(0).removeprefix("extra ")
                    extra = base64_bytes(text, "the extra data of a proof")
                if lines and lines[0].startswith("index "):
                    index = number(lines.pop(0).removeprefix("index "), "the index in a proof")
                    hashes = tuple(hash_bytes(line, "a hash in a proof") for line in lines)
                    return cls(index, hashes, Note.parse(note), extra)
        raise SealFormatError(
            f"a proof begins with the line {_FIRST}, perhaps one of extra data, and one with the "
            "index, and has an empty line before the checkpoint"
        )

    def verify(self, entry: bytes, policy: Policy) -> Witnessed:
        """Return the checkpoint by which *entry*, a leaf's data, is in a log of *policy*.

        Raise SealFormatError or SignatureError when the policy does not accept the checkpoint,
        ProofError when the entry is another or at another place.
        """
        witnessed = policy.open(self.note)
        tree = witnessed.checkpoint
        verify_inclusion(leaf_hash(entry), self.index, tree.size, tree.root, self.hashes)
        return witnessed
