"""NATS servers that know their users by JWTs: an operator, an account, and a user's credentials.

As `nsc` makes them; https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt
"""

import base64
import binascii
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nacl.signing import SigningKey

_PREFIXES: Final = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
_SEED: Final = 18 << 3
_LIMITS: Final = (
    *("subs", "data", "payload", "imports", "exports", "conn", "leaf"),
    *("mem_storage", "disk_storage", "streams", "consumer"),
)


@dataclass(frozen=True, slots=True)
class Somebody:
    """An operator, an account or a user."""

    kind: str
    key: SigningKey

    @property
    def name(self) -> str:
        """The public key, as NATS writes it."""
        return _written(bytes([_PREFIXES[self.kind]]) + bytes(self.key.verify_key))

    @property
    def seed(self) -> str:
        prefix = _PREFIXES[self.kind]
        return _written(bytes([_SEED | prefix >> 5, (prefix & 31) << 3]) + bytes(self.key))

    def vouches_for(self, other: "Somebody", **claims: Any) -> str:
        """Return the JWT of *other*, signed by this one."""
        header = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {
            "iat": int(time.time()),
            "iss": self.name,
            "sub": other.name,
            "name": other.kind,
            "nats": {"type": other.kind, "version": 2, **claims},
        }
        signed = ".".join(_in_base64(json.dumps(part).encode()) for part in (header, body))
        return f"{signed}.{_in_base64(self.key.sign(signed.encode()).signature)}"


def credentials_of_a_user(file: Path) -> str:
    """Write the credentials of a new user to *file*; return what tells a server of its account."""
    operator, account, user = (Somebody(kind, SigningKey.generate()) for kind in _PREFIXES)
    servers = Somebody("account", SigningKey.generate())
    limits = dict.fromkeys(_LIMITS, -1) | {"wildcards": True}
    jwt = account.vouches_for(user, subs=-1, data=-1, payload=-1)
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    return f"""
        operator: "{operator.vouches_for(operator)}"
        system_account: {servers.name}
        resolver: MEMORY
        resolver_preload: {{
            {servers.name}: "{operator.vouches_for(servers)}"
            {account.name}: "{operator.vouches_for(account, limits=limits)}"
        }}
    """


def _written(raw: bytes) -> str:
    checksum = binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw + checksum).decode().rstrip("=")


def _in_base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
