"""The table that holds the tokens: PodWarden's own, or ours where PodWarden has none."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
import structlog

from audit_log.errors import RecordRefusedError, StatementRefusedError, TokenUnreadableError
from audit_log.postgres.database import Database
from audit_log.postgres.transaction import Row
from audit_log.record import new_record_id
from audit_log.tokens import DEFAULT_TOKEN_QUERY, Token, hash_token, new_secret

CHANGES_CHANNEL: Final = "mcp_tokens_changed"

# The operator's query is a subquery, unchanged, so that `$1` keeps its type and each look-up keeps
# the plan of a single one. The hash is selected beside the row: nothing else in the row says which
# look-up it belongs to.
_WITH_HASH: Final = "SELECT $1 AS asked, found.* FROM (\n%s\n) AS found LIMIT 1"
_ADVICE: Final = "let the token query be a SELECT that can stand in a FROM clause"
_CREATE: Final = """
INSERT INTO mcp_tokens (id, name, role, token_hash, expires_at, owner, description)
VALUES ($1, $2, $3, $4, now() + make_interval(days => $5), $6, $7)
RETURNING id, name, role, expires_at, revoked_at
"""
_LIST: Final = """
SELECT id, name, role, expires_at, revoked_at FROM mcp_tokens ORDER BY created_at, id
"""
_REVOKE: Final = """
UPDATE mcp_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id
"""
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class TokenTable:
    """The tokens in the database: PodWarden's own table by *query*, or ours.

    Errors are those of `Database`, and `TokenUnreadableError`.
    """

    def __init__(self, database: Database, query: str = DEFAULT_TOKEN_QUERY) -> None:
        self._database = database
        self._query = query
        self._query_with_hash = _WITH_HASH % query.rstrip().removesuffix(";")
        self._is_asked_together = True

    async def find(self, token_hash: str) -> Token | None:
        """Return the token with this hash, or None if there is none."""
        row = await self._database.fetch_row(self._query, token_hash)
        return _token(row) if row else None

    async def find_together(self, hashes: Sequence[str]) -> dict[str, Token | None]:
        """Return the token of each of *hashes*, or None; in one round trip if the query allows it.

        Hashes whose row is not a token are left out of the result.
        """
        if not self._is_asked_together:
            return await self._found_one_by_one(hashes)
        try:
            return await self._found_together(hashes)
        except RecordRefusedError:
            # PostgreSQL cannot compute one of the rows: halve, to find the others without it.
            if len(hashes) == 1:
                return {}
            middle = len(hashes) // 2
            found = await self.find_together(hashes[:middle])
            return found | await self.find_together(hashes[middle:])
        except StatementRefusedError as error:
            found = await self._found_one_by_one(hashes)  # raises if the query itself is wrong
            self._is_asked_together = False
            log.warning("tokens.asked_one_by_one", reason=str(error), advice=_ADVICE)
            return found

    async def create(
        self,
        name: str,
        role: str,
        expiry_days: int,
        owner: str | None = None,
        description: str | None = None,
    ) -> tuple[Token, str]:
        """Make a token in our own table; return it with its secret, which is stored nowhere."""
        secret = new_secret()
        [row] = await self._database.fetch(
            _CREATE,
            new_record_id(),
            name,
            role,
            hash_token(secret),
            expiry_days,
            owner,
            description,
        )
        return _token(row), secret

    async def list(self) -> list[Token]:
        """Return all tokens of our own table, oldest first."""
        return [_token(row) for row in await self._database.fetch(_LIST)]

    async def revoke(self, token_id: UUID) -> bool:
        """Revoke a token of our own table from now on; say whether there is such a token."""
        return bool(await self._database.fetch(_REVOKE, token_id))

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """Yield the hashes of tokens as they change. Only our own table announces changes."""
        return self._database.notifications(CHANGES_CHANNEL)

    async def _found_together(self, hashes: Sequence[str]) -> dict[str, Token | None]:
        rows = await self._database.fetch_for_each(
            self._query_with_hash, [(token_hash,) for token_hash in hashes]
        )
        found: dict[str, Token | None] = dict.fromkeys(hashes)
        for row in rows:
            try:
                found[row[0]] = _token(row)
            except TokenUnreadableError:
                del found[row[0]]
        return found

    async def _found_one_by_one(self, hashes: Sequence[str]) -> dict[str, Token | None]:
        found: dict[str, Token | None] = {}
        for token_hash in hashes:
            with suppress(TokenUnreadableError, RecordRefusedError):
                found[token_hash] = await self.find(token_hash)
        return found


def _token(row: Row) -> Token:
    """Return the token in *row*, a row of the operator's own query or of our table."""
    values = {name: _aware(value) for name, value in row.items()}
    try:
        return msgspec.convert(values, Token)
    except msgspec.ValidationError as error:
        raise TokenUnreadableError(f"the token query answers something else: {error}") from error


def _aware(value: object) -> object:
    # Naive times are read as UTC: FastAPI applications commonly store them so.
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value
