"""What the database of the tokens tells of each, for people to read: owner, role, expiry."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog

from audit_log.errors import StoreError
from audit_log.postgres.database import Database
from audit_log.postgres.transaction import Row
from audit_log.process.changes import LoggedState
from audit_log.tokens import DEFAULT_TOKEN_QUERY

MAX_CHARACTERS: Final = 1_024
_COLUMNS: Final = ["id", "owner", "description", "role", "created_at", "expires_at", "revoked_at"]
# The table may be PodWarden's, with other columns, of which we may be allowed to read some only.
_READABLE: Final = """
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass('mcp_tokens') AND attnum > 0 AND NOT attisdropped
    AND attname = ANY($1::text[]) AND has_column_privilege(attrelid, attnum, 'SELECT')
"""
_OF_OURS: Final = "SELECT {columns} FROM mcp_tokens"
_OF_THESE: Final = """
SELECT tokens.* FROM (
{listing}
) AS tokens WHERE lower(tokens.id::text) = ANY($1::text[])
"""
_CAST: Final = r"(?:::\w+(?:\(\d+\))?)?"
_COLUMN: Final = r"[\w.\"]+"
_END: Final = r"(?![\w(:])(?!\s*\|)"
_BY_HASH: Final = re.compile(
    rf"(?P<column>{_COLUMN})\s*=\s*\$1{_CAST}{_END}|\$1{_CAST}\s*=\s*(?P<other>{_COLUMN}){_END}"
)
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDetails:
    """What is known of a token, apart from its name. None where the query has no such column."""

    owner: str | None = None
    description: str | None = None
    role: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


NO_DETAILS: Final = TokenDetails()


class TokenDirectory:
    """Tells of tokens by their ids. What it cannot learn is left out: it never raises."""

    def __init__(self, database: Database, query: str = DEFAULT_TOKEN_QUERY) -> None:
        """Ask *database* for what *query*, the token query, has of each token."""
        self._database = database
        self._query = query
        self._state = LoggedState(log, fails="tokens.details_unavailable")

    async def details_of(self, ids: Iterable[UUID]) -> Mapping[UUID, TokenDetails]:
        """Return the details of those of *ids* that are found."""
        try:
            listing = await self._listing()
            if listing is None:
                return {}
            sql = _OF_THESE.format(listing=listing)
            rows = await self._database.fetch(sql, [str(each) for each in ids])
        except StoreError as error:
            self._state.note(str(error))
            return {}
        self._state.note(None)
        return {UUID(str(row["id"])): _details(row) for row in rows}

    async def _listing(self) -> str | None:
        if self._query != DEFAULT_TOKEN_QUERY:
            return listing_of(self._query)
        rows = await self._database.fetch(_READABLE, _COLUMNS)
        columns = [row["attname"] for row in rows]
        return _OF_OURS.format(columns=", ".join(columns)) if "id" in columns else None


def listing_of(token_query: str) -> str | None:
    """Return the query of all tokens, of which *token_query* finds one by its hash `$1`.

    It is known only if the hash is compared once, as in `WHERE token_hash = $1`; else return None.
    """
    query = token_query.rstrip().removesuffix(";")
    found = _BY_HASH.search(query)
    if found is None or query.count("$") != 1:
        return None
    column = found["column"] or found["other"]
    return f"{query[: found.start()]}{column} IS NOT NULL{query[found.end() :]}"


def _details(row: Row) -> TokenDetails:
    return TokenDetails(
        owner=_text(row.get("owner")),
        description=_text(row.get("description")),
        role=_text(row.get("role")),
        created_at=_moment(row.get("created_at")),
        expires_at=_moment(row.get("expires_at")),
        revoked_at=_moment(row.get("revoked_at")),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:MAX_CHARACTERS]


def _moment(value: object) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    # Naive times are read as UTC, as in `TokenTable`.
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
