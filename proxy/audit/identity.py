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

_ABSOLUTE_FORM: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_SLASHES: Final = re.compile(rb"[/\\]+")
_SPACE: Final = rb"[\s\x85\xa0]"
"""What `str.strip` takes away from a header that was read as latin-1."""


class Credentials(Enum):
    """What an Authorization field can be besides one of our tokens."""

    OTHER = "other"
    AMBIGUOUS = "ambiguous"
    """Several fields, one of them ours: it is not known which one the API would take."""


_REMEMBERED: Final = 1_024
"""Tokens whose hash is cached."""
_REMEMBERED_BYTES: Final = 256
"""Longest token that is cached: ours are much shorter, and invented ones must not fill it."""


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
