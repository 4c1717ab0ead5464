"""Tokens: how they are made, hashed and judged."""

import hashlib
import secrets
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

TOKEN_PREFIX: Final = "pwm_"
TOKEN_BYTES: Final = 32
ROLES: Final = ("viewer", "operator", "admin")
UNKNOWN: Final = "unknown token"
NOT_LOOKED_UP: Final = "token could not be looked up in time"

DEFAULT_TOKEN_QUERY: Final = (
    "SELECT id, name, role, expires_at, revoked_at FROM mcp_tokens WHERE token_hash = $1"
)
"""Finds a token in PodWarden's table, or in ours, which has the same columns."""


class Token(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A token as PodWarden knows it; without the secret."""

    id: UUID
    name: str
    role: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


def new_secret() -> str:
    """Return the bearer value of a new token: the prefix and 32 random bytes."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> str:
    """Return the hex SHA-256 of a bearer value: the only thing that is ever kept of it."""
    # Header bytes that are not UTF-8 arrive as surrogates and are hashed as they came.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
