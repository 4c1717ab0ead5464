"""Who is calling, and whether the call is to be audited. Pure; says nothing about permission."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote_to_bytes
from uuid import UUID

from audit_log.record import MAX_PATH_CHARACTERS, unknown_token_name
from audit_log.tokens import Token, hash_token
from proxy.http.fields import Fields
from proxy.settings import Network
from proxy.tokens.memory import MISSING, Missing

_ABSOLUTE_FORM: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_SLASHES: Final = re.compile(rb"[/\\]+")
_SPACE: Final = rb"[\s\x85\xa0]"
"""What `str.strip` takes away from a header that was read as latin-1."""


class Credentials(Enum):
    """What an Authorization field can be besides one of our tokens."""

    OTHER = "other"
    AMBIGUOUS = "ambiguous"
    """Several fields, one of them ours: we cannot know which one the API would take."""


_REMEMBERED: Final = 1_024
"""Tokens whose hash is not computed again, whatever else the fields around them say."""
_REMEMBERED_BYTES: Final = 256
"""Of a token that is remembered: ours are much shorter, invented ones must not fill the memory."""


class TokenRecogniser:
    """Finds our tokens in header fields. A token's value never leaves this class: it is hashed."""

    def __init__(self, prefix: str) -> None:
        """Recognise tokens by *prefix*, never by length."""
        # Spaces and case are taken as loosely as any API might: what it would accept, we must see.
        self._bearer = re.compile(
            rb"%b*(?i:bearer)%b+(%b.*?)%b*" % (_SPACE, _SPACE, re.escape(prefix.encode()), _SPACE),
            re.DOTALL,
        )
        self._hash = lru_cache(_REMEMBERED)(_hash_of)

    def token_hash(self, fields: Fields) -> str | Credentials:
        """Return the SHA-256 of our bearer token, or what stands there instead."""
        values = fields.all(b"authorization")
        tokens = [found[1] for value in values if (found := self._bearer.fullmatch(value))]
        if not tokens:
            return Credentials.OTHER
        if len(values) > 1:
            return Credentials.AMBIGUOUS
        [token] = tokens
        return self._hash(token) if len(token) <= _REMEMBERED_BYTES else _hash_of(token)


def _hash_of(token: bytes) -> str:
    return hash_token(token.decode("utf-8", "surrogateescape"))


class AuditedPaths:
    """Decides by the request target whether a call is audited; in doubt it is."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        """Audit what lies under one of *prefixes*."""
        self._prefixes = tuple(prefix.encode() for prefix in prefixes)

    def cover(self, target: bytes) -> bool:
        """Say whether *target* is an audited path, however it was written.

        `/%61pi/v1`, `//api/v1`, `/x/../api/v1` and `http://host/api/v1` reach the same handlers as
        `/api/v1` behind one server or another, so each of them counts.
        """
        if target.startswith(self._prefixes):
            return True
        if target.startswith(b"/") and not any(
            mark in target for mark in (b"%", b"//", b"/.", b"\\")
        ):
            return False
        decoded = unquote_to_bytes(path_of(target))
        return decoded.startswith(self._prefixes) or _resolved(decoded).startswith(self._prefixes)


def path_of(target: bytes) -> bytes:
    """Return the path of a request target, as it was on the wire, without authority and query."""
    if not target.startswith(b"/") and (absolute := _ABSOLUTE_FORM.match(target)):
        target = target[absolute.end() :] or b"/"
    return target.partition(b"?")[0]


def recorded_path(target: bytes) -> str:
    """Return the path for the audit log: printable text, at most 2,048 characters.

    What is not valid UTF-8, and control characters, are percent-encoded.
    """
    return printable(path_of(target))[:MAX_PATH_CHARACTERS]


def printable(value: bytes) -> str:
    """Return *value* as text that PostgreSQL and a terminal can hold.

    What is not valid UTF-8 or not printable is percent-encoded: NUL, control characters, and
    those that turn the direction of writing.
    """
    text = value.decode("utf-8", "surrogateescape")
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _percent_encoded(each) for each in text)


def _percent_encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _resolved(path: bytes) -> bytes:
    """Return *path* with slashes merged and dot segments resolved (RFC 3986 section 5.2.4)."""
    kept: list[bytes] = []
    for segment in _SLASHES.split(path):
        if segment == b"..":
            del kept[-1:]
        elif segment not in {b"", b"."}:
            kept.append(segment)
    return b"/" + b"/".join(kept) + (b"/" if path.endswith((b"/", b"\\")) else b"")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who made an audited call, as far as it is known."""

    token_id: UUID | None = None
    token_name: str | None = None
    token_hash: str | None = None
    """Set only while the name is not known, because the token directory was out of reach."""

    @classmethod
    def of(cls, token_hash: str | Credentials, token: Token | Missing | None) -> "Caller":
        """Return the caller with *token*; None is nobody's, and MISSING is found out later."""
        if isinstance(token_hash, Credentials):
            return cls(token_name="Ambiguous credentials")
        if token is MISSING:
            return cls(token_hash=token_hash)
        if token is None:
            return cls(token_name=unknown_token_name(token_hash))
        return cls(token_id=token.id, token_name=token.name)


def client_address(peer: str, fields: Fields, trusted: Sequence[Network]) -> str:
    """Return the address of the client: *peer*, or what trusted proxies say stood before them.

    `X-Forwarded-For` is read from right to left, and only as long as the address that
    appended to it is trusted. Anything that is no address ends the reading.
    """
    if not is_trusted(peer, trusted):
        return peer
    said = b",".join(fields.all(b"x-forwarded-for"))
    address = peer
    for hop in reversed(said.decode("latin-1").split(",")):
        try:
            address = str(ip_address(hop.strip().partition("%")[0]))
        except ValueError:
            break
        if not is_trusted(address, trusted):
            break
    return address


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Say whether *address* belongs to one of the trusted proxies."""
    if not trusted:
        return False
    parsed = ip_address(address)
    return any(parsed in network for network in trusted)
