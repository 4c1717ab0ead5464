"""Signed notes as in c2sp.org/signed-note@v1.0.0: a text with lines of signatures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from audit_log.errors import SealFormatError, SignatureError
from audit_log.seal.encoding import base64_bytes, base64_text
from audit_log.seal.keys import KEY_ID_BYTES, NOTE, SignerKey, VerifierKey, check_name

MAX_SIGNATURES: Final = 100
"""As in Go's checksum database: 16 must be accepted, and a limit is recommended."""
_DASH: Final = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line. What the bytes behind the key's id hold depends on the key's type."""

    name: str
    key_id: bytes
    data: bytes

    def __str__(self) -> str:
        """Return the line, with its newline."""
        return f"{_DASH}{self.name} {base64_text(self.key_id + self.data)}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Return the signature of a *line* without its newline; raise SealFormatError."""
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not space:
            raise SealFormatError(
                f"a signature line is '{_DASH}', a key's name, a space and base64; "
                f"this is {line[:100]!r}"
            )
        check_name(name)
        data = base64_bytes(encoded, f"the signature of {name}")
        if len(data) <= KEY_ID_BYTES:
            raise SealFormatError(f"the signature of {name} is too short: {encoded!r}")
        return cls(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])

    def is_of(self, key: VerifierKey) -> bool:
        """Say whether the line names *key*; whether its signature holds is another question."""
        return self.name == key.name and self.key_id == key.key_id


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends in a newline, and its signature lines. Parsed is not verified."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        """Return the note as it is kept and sent."""
        return f"{self.text}\n" + "".join(map(str, self.signatures))

    @classmethod
    def parse(cls, raw: str | bytes) -> Self:
        """Return the note that *raw* is; raise SealFormatError when it is none."""
        text, blank, lines = checked_text(raw).rpartition("\n\n")
        if not blank:
            raise SealFormatError("a signed note has an empty line before its signatures")
        return cls(f"{text}\n", parse_signatures(lines))

    def with_signatures(self, more: Iterable[Signature]) -> Self:
        """Return the note with the lines *more* after its own."""
        return type(self)(self.text, (*self.signatures, *more))

    def signed_by(self, keys: Sequence[VerifierKey]) -> list[VerifierKey]:
        """Return those of *keys*, all of type NOTE, that signed this note, in their order.

        Lines of other keys are ignored, whatever they hold. Raise SignatureError when none of
        *keys* signed, or when a line of one of them is wrong: then the note was altered.
        """
        message = self.text.encode()
        signers = []
        for key in keys:
            lines = [line for line in self.signatures if line.is_of(key)]
            for line in lines:
                key.verify(message, line.data)
            signers += [key] if lines else []
        if not signers:
            raise SignatureError(
                f"the note is not signed by {_named(keys) or 'a trusted key: none was given'}; "
                f"its signatures are by {_named(self.signatures) or 'nobody'}"
            )
        return signers


def sign_note(text: str, *keys: SignerKey) -> Note:
    """Return *text*, which ends in a newline, signed by *keys* of type NOTE."""
    if not checked_text(text).endswith("\n"):
        raise SealFormatError("the text of a note ends in a newline")
    message = text.encode()
    if any(key.verifier.type != NOTE for key in keys):
        raise SealFormatError("a witness's key signs checkpoints with the time, no other notes")
    return Note(
        text,
        tuple(
            Signature(key.verifier.name, key.verifier.key_id, key.sign(message)) for key in keys
        ),
    )


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Return the signatures of *lines*, one or more; raise SealFormatError.

    A witness answers with such lines.
    """
    *signatures, rest = lines.split("\n")
    if rest or not signatures:
        raise SealFormatError("a note has one signature line or more, each with its newline")
    if len(signatures) > MAX_SIGNATURES:
        raise SealFormatError(f"a note with more than {MAX_SIGNATURES} signatures is not read")
    return tuple(map(Signature.parse, signatures))


def checked_text(raw: str | bytes) -> str:
    """Return *raw* as a text; raise SealFormatError when a note cannot hold it."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        text.encode()
    except UnicodeError as error:
        raise SealFormatError(f"a note is UTF-8: {error}") from error
    if odd := sorted({char for char in text if char < " " and char != "\n"}):
        raise SealFormatError(f"a note has no control characters but newlines; this has {odd!r}")
    return text


def _named(signed: Iterable[VerifierKey | Signature]) -> str:
    return ", ".join(f"{one.name} (key {one.key_id.hex()})" for one in signed)
