"""Identification: the token of a request, as its hash. Pure; decides no permission."""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final
from uuid import UUID

from audit_log.record import unknown_token_name
from audit_log.tokens import Token, hash_token
from proxy.http.fields import Fields
from proxy.tokens.memory import MISSING, Missing

_TOKEN: Final = rb"[A-Za-z0-9._~+/-]"
"""A byte of a bearer token (RFC 6750 section 2.1); `=` may follow them."""


class Credentials(Enum):
    """What an Authorization field can be besides one of our tokens."""

    OTHER = "other"
    AMBIGUOUS = "ambiguous"
    """A token of ours in any form but one clean bearer token: the API may read another one."""


_REMEMBERED: Final = 1_024
"""Tokens whose hash is cached."""
_REMEMBERED_BYTES: Final = 256
"""Longest token that is cached: ours are much shorter, and invented ones must not fill it."""


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
        self._hash = lru_cache(_REMEMBERED)(_hash_of)

    def token_hash(self, fields: Fields) -> str | Credentials:
        """Return the SHA-256 of our bearer token, or what stands there instead."""
        values = fields.all(b"authorization")
        # Most calls of others end here: a plain search is quicker than a pattern.
        if self._prefix not in b",".join(values):
            return Credentials.OTHER
        if len(values) == 1 and (found := self._bearer.fullmatch(values[0])):
            token = found[1]
            return self._hash(token) if len(token) <= _REMEMBERED_BYTES else _hash_of(token)
        if any(self._begin.search(value) for value in values):
            return Credentials.AMBIGUOUS
        return Credentials.OTHER


def _hash_of(token: bytes) -> str:
    return hash_token(token.decode())


@dataclass(frozen=True, slots=True)
class Caller:
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
