"""Keys of logs and witnesses, with their texts (vkey, skey) of c2sp.org/signed-note@v1.0.0."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from audit_log.errors import SealFormatError, SignatureError
from audit_log.seal.encoding import base64_bytes, base64_text

NOTE: Final = 0x01
"""The type of a key that signs notes by Ed25519: a log's."""
COSIGNATURE: Final = 0x04
"""The type of a key that signs checkpoints with the time, by Ed25519: a witness's."""
KEY_ID_BYTES: Final = 4
ED25519_BYTES: Final = 32
"""Of a public key, and of the seed that a secret key is made from."""
MAX_NAME_BYTES: Final = 255
"""Of a name of ours. Cosignatures by ML-DSA-44 have no room for more, and witnesses refuse it."""
_SECRET: Final = "PRIVATE+KEY+"


def check_name(name: str) -> None:
    """Raise SealFormatError unless *name* can be a key's: it goes between spaces and pluses."""
    if not name or "+" in name or any(map(_cannot_name, name)):
        raise SealFormatError(
            f"a key's name is not empty and has neither spaces nor '+'; this is {name[:100]!r}"
        )


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name."""

    name: str
    type: int
    """NOTE or COSIGNATURE."""
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.type not in {NOTE, COSIGNATURE}:
            raise SealFormatError(
                f"the key of {self.name} is of type {self.type:#04x}; only Ed25519 keys are used "
                f"here: {NOTE:#04x} of logs and {COSIGNATURE:#04x} of witnesses"
            )
        if len(self.public) != ED25519_BYTES:
            raise SealFormatError(
                f"the key of {self.name} has {len(self.public)} bytes; an Ed25519 key has "
                f"{ED25519_BYTES}"
            )

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that, with the name, stand for this key in a signature line."""
        hashed = self.name.encode() + b"\n" + bytes([self.type]) + self.public
        return sha256(hashed).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        """Return the key as a text: a vkey."""
        encoded = base64_text(bytes([self.type]) + self.public)
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Return the key of a *vkey*; raise SealFormatError."""
        if vkey.startswith(_SECRET):
            raise SealFormatError(
                "this is a secret key: keep it, and give the verifier key that belongs to it"
            )
        name, key_id, type_, public = _parts(vkey, "the verifier key")
        key = cls(name, type_, public)
        if key.key_id.hex() != key_id:
            raise SealFormatError(
                f"the verifier key of {name} says that its id is {key_id!r}, but it is "
                f"{key.key_id.hex()!r}: name, id or key was altered"
            )
        return key

    def verify(self, message: bytes, signature: bytes) -> None:
        """Raise SignatureError unless *signature* is by Ed25519, by this key, of *message*."""
        try:
            VerifyKey(self.public).verify(message, signature)
        except (BadSignatureError, ValueError) as error:
            raise SignatureError(
                f"the signature of {self.name} (key {self.key_id.hex()}) is wrong: what it signs "
                "was altered, or it is by another key"
            ) from error


class SignerKey:
    """A secret key with its name. The secret appears in `skey` alone."""

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, type_: int, seed: bytes) -> None:
        """Make the key from 32 secret bytes; raise SealFormatError when it cannot be made."""
        if len(seed) != ED25519_BYTES:
            raise SealFormatError(
                f"a secret key is made of {ED25519_BYTES} bytes; here are {len(seed)}"
            )
        if len(name.encode(errors="replace")) > MAX_NAME_BYTES:
            raise SealFormatError(f"a key's name has at most {MAX_NAME_BYTES} bytes: {name!r}")
        self._key: Final = SigningKey(seed)
        self.verifier: Final = VerifierKey(name, type_, bytes(self._key.verify_key))

    @classmethod
    def new(cls, name: str, type_: int = NOTE) -> Self:
        """Return a key that nobody else has."""
        return cls(name, type_, bytes(SigningKey.generate()))

    @classmethod
    def parse(cls, skey: str) -> Self:
        """Return the key of an *skey*; raise SealFormatError, which never quotes it."""
        if not skey.startswith(_SECRET):
            raise SealFormatError(f"a secret key begins with {_SECRET}")
        name, key_id, type_, seed = _parts(skey.removeprefix(_SECRET), "the secret key")
        key = cls(name, type_, seed)
        if key.verifier.key_id.hex() != key_id:
            raise SealFormatError(
                "the secret key's name, id or seed was altered: use a copy of it"
            )
        return key

    @property
    def skey(self) -> str:
        """The key as a text, as Go's sumdb/note reads it. Keep it secret."""
        name, type_ = self.verifier.name, self.verifier.type
        encoded = base64_text(bytes([type_]) + bytes(self._key))
        return f"{_SECRET}{name}+{self.verifier.key_id.hex()}+{encoded}"

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature of *message*."""
        return self._key.sign(message).signature


def _parts(text: str, what: str) -> tuple[str, str, int, bytes]:
    """Return name, id in hex, type and bytes of a key's text; raise SealFormatError."""
    # The base64 may hold a plus too.
    match text.split("+", 2):
        case name, key_id, encoded:
            data = base64_bytes(encoded, f"{what}, in its last part,")
            if not data:
                raise SealFormatError(f"{what} has no type and no key behind its id")
            return name, key_id, data[0], data[1:]
    raise SealFormatError(f"{what} is not of the form name+id+base64")


def _cannot_name(char: str) -> bool:
    """Say whether *char* is a space, a control character, or half of one that UTF-8 lacks."""
    return char.isspace() or char < " " or "\ud800" <= char <= "\udfff"
