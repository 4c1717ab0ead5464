"""Tokens: how they are made, recognised and judged, and the table that holds them."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
import structlog

from audit_log.errors import RecordRefusedError, StatementRefusedError, TokenUnreadableError
from audit_log.postgres.database import Database, Row
from audit_log.record import new_record_id

TOKEN_PREFIX: Final = "pwm_"
TOKEN_BYTES: Final = 32
ROLES: Final = ("viewer", "operator", "admin")
UNKNOWN: Final = "unknown token"
EXPIRED: Final = "token has expired"
REVOKED: Final = "token has been revoked"
CHANGES_CHANNEL: Final = "mcp_tokens_changed"

DEFAULT_TOKEN_QUERY: Final = (
    "SELECT id, name, role, expires_at, revoked_at FROM mcp_tokens WHERE token_hash = $1"
)
# The query stands as it is, so that `$1` keeps its type, and each look-up the plan that it has
# when it is made alone. The hash comes with the row, because nothing else says whose row it is.
_WITH_HASH: Final = "SELECT $1 AS asked, found.* FROM (\n%s\n) AS found LIMIT 1"
_ADVICE: Final = "let the token query be a SELECT that can stand in a FROM clause"
_CREATE: Final = """
INSERT INTO mcp_tokens (id, name, role, token_hash, expires_at)
VALUES ($1, $2, $3, $4, now() + make_interval(days => $5))
RETURNING id, name, role, expires_at, revoked_at
"""
_LIST: Final = """
SELECT id, name, role, expires_at, revoked_at FROM mcp_tokens ORDER BY created_at, id
"""
_REVOKE: Final = """
UPDATE mcp_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id
"""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def hash_token(token: str) -> str:
    """Return the hex SHA-256 of a bearer value: all that is ever kept of it."""
    # Bytes that are not UTF-8 arrive in a header as surrogates, and go back as they came.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Token(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A token as PodWarden knows it; without the secret."""

    id: UUID
    name: str
    role: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def refusal(self, now: datetime) -> str | None:
        """Return why this token is not accepted at *now*, or None when it is."""
        # Whenever that was: their clock may be ahead of ours.
        if self.revoked_at is not None:
            return REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return EXPIRED
        return None


class TokenTable:
    """The tokens in the database: PodWarden's own table by *query*, or ours."""

    def __init__(self, database: Database, query: str = DEFAULT_TOKEN_QUERY) -> None:
        self._database = database
        self._query = query
        self._query_with_hash = _WITH_HASH % query.rstrip().removesuffix(";")
        self._is_asked_together = True

    async def find(self, token_hash: str) -> Token | None:
        """Return the token with this hash, or None when there is none."""
        row = await self._database.fetch_row(self._query, token_hash)
        return _token(row) if row else None

    async def find_together(self, hashes: Sequence[str]) -> dict[str, Token | None]:
        """Return the token of each of *hashes*, or None; in one round trip if the query lets us.

        For tokens that `find` was asked for before. Those whose row makes no sense are left out.
        """
        if not self._is_asked_together:
            return await self._found_one_by_one(hashes)
        try:
            return await self._found_together(hashes)
        except RecordRefusedError:
            # One row that PostgreSQL cannot compute keeps the others back.
            return await self._found_one_by_one(hashes)
        except StatementRefusedError as error:
            answers = await self._found_one_by_one(hashes)  # raises if it is the query itself
            self._is_asked_together = False
            log.warning("tokens.asked_one_by_one", reason=str(error), advice=_ADVICE)
            return answers

    async def create(self, name: str, role: str, expiry_days: int) -> tuple[Token, str]:
        """Make a token in our own table; return it with its secret, which nobody can see again."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        [row] = await self._database.fetch(
            _CREATE, new_record_id(), name, role, hash_token(secret), expiry_days
        )
        return _token(row), secret

    async def list(self) -> list[Token]:
        """Return all tokens of our own table, oldest first."""
        return [_token(row) for row in await self._database.fetch(_LIST)]

    async def revoke(self, token_id: UUID) -> bool:
        """Revoke a token of our own table from now on; say whether there is such a token."""
        return bool(await self._database.fetch(_REVOKE, token_id))

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Yield the hashes of tokens as they change. Only our own table announces them."""
        return self._database.notifications(CHANGES_CHANNEL)

    async def _found_together(self, hashes: Sequence[str]) -> dict[str, Token | None]:
        rows = await self._database.fetch_for_each(
            self._query_with_hash, [(token_hash,) for token_hash in hashes]
        )
        answers: dict[str, Token | None] = dict.fromkeys(hashes)
        for row in rows:
            try:
                answers[row[0]] = _token(row)
            except TokenUnreadableError:
                del answers[row[0]]
        return answers

    async def _found_one_by_one(self, hashes: Sequence[str]) -> dict[str, Token | None]:
        answers: dict[str, Token | None] = {}
        for token_hash in hashes:
            with suppress(TokenUnreadableError, RecordRefusedError):
                answers[token_hash] = await self.find(token_hash)
        return answers


def _token(row: Row) -> Token:
    """Return the token that a query answered; the query may be the operator's own."""
    values = {name: _aware(value) for name, value in row.items()}
    try:
        return msgspec.convert(values, Token)
    except msgspec.ValidationError as error:
        raise TokenUnreadableError(f"the token query answers something else: {error}") from error


def _aware(value: object) -> object:
    # A table that keeps naive times is taken to keep them in UTC, as FastAPI applications do.
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value
