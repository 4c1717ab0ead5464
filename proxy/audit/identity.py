"""Identification: the token of a request, as its hash. Pure; decides no permission."""

import re
from enum import Enum
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec

from audit_log.record import unknown_token_name
from audit_log.tokens import Token, hash_token
from proxy.http.fields import Fields
from proxy.http.target import printable
from proxy.tokens.memory import MISSING, Missing

_TOKEN: Final = rb"[A-Za-z0-9._~+/-]"
"""A byte of a bearer token (RFC 6750 section 2.1); `=` may follow them."""


class Credentials(Enum):
    """What an Authorization field can be besides one of our tokens."""

    OTHER = "other"
    AMBIGUOUS = "ambiguous"
    """A token of ours in any form but one clean bearer token: the API may read another one."""


# Until Python 3.12 a member of an enum is looked up by a Python function.
OTHER: Final = Credentials.OTHER

MAX_PRINCIPAL_CHARACTERS: Final = 256
_REMEMBERED: Final = 1_024
"""Values with our prefix of which is cached what they are."""
_REMEMBERED_BYTES: Final = 256
"""Longest value that is cached: ours are much shorter, and invented ones must not fill it."""


class TokenRecogniser:
    """Finds our tokens in header fields. A token's value never leaves this class: it is hashed."""

    def __init__(self, prefix: str) -> None:
        """Recognise tokens by *prefix*, never by length."""
        self._prefix = prefix.encode()
        escaped = re.escape(self._prefix)
        self._bearer = re.compile(rb"[ \t]*(?i:bearer) +(%b%b*=*)[ \t]*" % (escaped, _TOKEN))
        # Inside another token, such as a JWT, the prefix is chance.
        self._begin = re.compile(
            rb"(?<!%b)%b|(?i:bearer)[^A-Za-z0-9]*%b" % (_TOKEN, escaped, escaped)
        )
        self._read_before = lru_cache(_REMEMBERED)(self._read)

    def token_hash(self, fields: Fields) -> str | Credentials:
        """Return the SHA-256 of our bearer token, or what stands there instead."""
        value = fields.by_name.get(b"authorization")
        if value is None:
            return OTHER
        if b"authorization" in fields.repeated:
            values = fields.all(b"authorization")
            return Credentials.AMBIGUOUS if any(map(self._begin.search, values)) else OTHER
        # Most calls of others end here: a plain search is quicker than a pattern.
        if self._prefix not in value:
            return OTHER
        return self._read_before(value) if len(value) <= _REMEMBERED_BYTES else self._read(value)

    def _read(self, value: bytes) -> str | Credentials:
        """Return what the only Authorization field says."""
        if found := self._bearer.fullmatch(value):
            return hash_token(found[1].decode())
        return Credentials.AMBIGUOUS if self._begin.search(value) else OTHER


class Caller(msgspec.Struct, frozen=True, gc=False):
    """The caller of an audited call, as far as it is known."""

    token_id: UUID | None = None
    token_name: str | None = None
    token_hash: str | None = None
    """Set only while the name is unknown: the token cache could not reach its database."""

    @classmethod
    def of(cls, token_hash: str | Credentials, token: Token | Missing | None) -> "Caller":
        """Return the caller with *token*.

        None says that no token has this hash; with MISSING the writer resolves the name later.
        """
        if isinstance(token_hash, Credentials):
            return cls(token_name="Ambiguous credentials")
        if token is MISSING:
            return cls(token_hash=token_hash)
        if token is None:
            return cls(token_name=unknown_token_name(token_hash))
        return cls(token_id=token.id, token_name=token.name)


def principal_in(fields: Fields, name: bytes | None) -> str | None:
    """Return on whose behalf a request is made, as its field *name* (lower case) says.

    Of two such fields, one may be the client's own: then none is believed. Whether the sender of
    *fields* is to be believed at all is for the caller to know.
    """
    if name is None or name in fields.repeated or not (value := fields.first(name)):
        return None
    return printable(value)[:MAX_PRINCIPAL_CHARACTERS]
