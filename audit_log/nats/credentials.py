"""The `.creds` file with which a client signs in to NATS: a JWT, and a seed to sign with.

nats-py would read it with nkeys, which is published without a wheel and so needs a compiler to
install.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nacl.signing import SigningKey

from audit_log.errors import CredentialsFileError

_SECTION: Final = re.compile(
    r"-{3,}BEGIN (NATS USER JWT|USER NKEY SEED)-{3,}\s+(\S+)\s+-{3,}END \1-{3,}"
)
# A seed begins with its kind and its owner's kind; 20 is a user. The checksum is CRC-16/XMODEM:
# https://github.com/nats-io/nkeys, "Encoding".
_SEED, _USER = 18 << 3, 20 << 3
_SEED_BYTES: Final = 36


@dataclass(frozen=True, slots=True)
class NatsCredentials:
    """A NATS user's JWT, and the key that proves it is ours."""

    _jwt: bytes = field(repr=False)
    _key: SigningKey = field(repr=False)

    def shown(self) -> bytes:
        """Return the JWT."""
        return self._jwt

    def signature(self, nonce: str) -> bytes:
        """Return the signature of the server's *nonce*, in base64."""
        return base64.b64encode(self._key.sign(nonce.encode()).signature)


def read_credentials(file: Path) -> NatsCredentials:
    """Return the credentials in *file*. Raises CredentialsFileError, which quotes no content."""
    try:
        found = dict(_SECTION.findall(file.read_text(errors="replace")))
    except OSError as error:
        raise CredentialsFileError(f"{file} cannot be read: {error.strerror}") from None
    try:
        key = SigningKey(_key_of(found["USER NKEY SEED"]))
        return NatsCredentials(found["NATS USER JWT"].encode(), key)
    except (KeyError, ValueError):
        raise CredentialsFileError(
            f"{file} does not hold the JWT and the seed of a NATS user"
        ) from None


def _key_of(seed: str) -> bytes:
    """Return the 32 bytes in *seed*. Raises ValueError."""
    raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    kind, owner = raw[0] & 0xF8, (raw[0] & 7) << 5 | raw[1] >> 3
    checksum = binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little")
    if (len(raw), kind, owner, raw[-2:]) != (_SEED_BYTES, _SEED, _USER, checksum):
        raise ValueError("no seed of a user")
    return raw[2:-2]
