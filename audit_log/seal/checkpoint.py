"""Checkpoints as in c2sp.org/tlog-checkpoint@v1.0.0: what a log says of itself at one size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from audit_log.errors import SealFormatError, SignatureError
from audit_log.seal.encoding import HASH_BYTES, LARGEST_SIZE, base64_text, hash_bytes, number
from audit_log.seal.keys import SignerKey, VerifierKey
from audit_log.seal.note import Note, checked_text, sign_note


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's origin, size and root hash. `str()` gives the text that is signed."""

    origin: str
    """The log's name: as a URL without its scheme."""
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    """Further lines, which other logs may write. Ours never do: witnesses refuse them."""

    def __post_init__(self) -> None:
        if not all(line and "\n" not in line for line in (self.origin, *self.extensions)):
            raise SealFormatError(f"an empty line, or one with a newline, in {self!r}")
        if not 0 <= self.size <= LARGEST_SIZE:
            raise SealFormatError(f"the size of a log is from 0 to 2^63 - 1, not {self.size}")
        if len(self.root) != HASH_BYTES:
            raise SealFormatError(f"a root hash has {HASH_BYTES} bytes, not {len(self.root)}")

    def __str__(self) -> str:
        """Return the text of the note, which ends in a newline."""
        lines = (self.origin, str(self.size), base64_text(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the checkpoint of a note's *text*; raise SealFormatError when it is none."""
        *lines, rest = checked_text(text).split("\n")
        match lines:
            case [origin, size, root, *extensions] if not rest and all(lines):
                return cls(
                    origin,
                    number(size, "the size in a checkpoint"),
                    hash_bytes(root, "the root hash in a checkpoint"),
                    tuple(extensions),
                )
        raise SealFormatError(
            f"a checkpoint is three lines, origin, size and root hash, not {text[:200]!r}"
        )


def sign_checkpoint(checkpoint: Checkpoint, *keys: SignerKey) -> Note:
    """Return *checkpoint* signed by its log's *keys*, whose name is its origin."""
    for key in keys:
        if key.verifier.name != checkpoint.origin:
            raise SealFormatError(
                f"the key of {key.verifier.name} does not sign for the log {checkpoint.origin}"
            )
    return sign_note(str(checkpoint), *keys)


def open_checkpoint(note: Note, log_keys: Sequence[VerifierKey]) -> Checkpoint:
    """Return the checkpoint of *note*, signed by a key of *log_keys* that has its origin's name.

    Raise SealFormatError when *note* holds no checkpoint, SignatureError when it is of another
    log, or not signed by that log.
    """
    checkpoint = Checkpoint.parse(note.text)
    keys = [key for key in log_keys if key.name == checkpoint.origin]
    if not keys:
        known = ", ".join(sorted({key.name for key in log_keys})) or "none"
        raise SignatureError(f"the log {checkpoint.origin} is not known; known logs: {known}")
    note.signed_by(keys)
    return checkpoint
