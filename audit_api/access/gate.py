"""Decides who may read the audit log: the gate gathers the facts, pure functions decide."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Protocol
from uuid import UUID

from audit_api.access.credentials import Credentials, mcp_token
from audit_api.access.sessions import Session, Sessions
from audit_api.errors import (
    ApiError,
    ForbiddenError,
    NotNowError,
    ReaderRefusedError,
    UnauthorizedError,
)
from audit_log.refusals import refusal_of
from audit_log.tokens import Token, hash_token


@dataclass(frozen=True, slots=True)
class Reader:
    """A caller that may read. All is None if PodWarden admitted it: it does not say who it is."""

    name: str | None = None
    role: str | None = None
    token_id: UUID | None = None
    session: str | None = None
    """The digest of its session, if it has one; it opens none."""


class TokenFinder(Protocol):
    """What the gate needs to find tokens."""

    async def find(self, token_hash: str) -> Token | None:
        """Return the token with *token_hash*, or None."""


class Judge(Protocol):
    """Decides about credentials that are no known token: PodWarden."""

    async def judge(self, credentials: Credentials) -> int:
        """Return the HTTP status of a request with *credentials*; NotNowError if it fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Admits readers. Nothing is cached: each request looks up its token again.

    A revoked token must be refused on its next request. A cache would gain little: the audit log
    has few readers, and without PostgreSQL there is nothing to read.
    """

    tokens: TokenFinder
    judge: Judge | None
    sessions: Sessions
    token_prefix: str
    reader_roles: frozenset[str]
    now: Callable[[], datetime]

    async def admit(self, credentials: Credentials) -> Reader:
        """Return the reader with *credentials*.

        Raises UnauthorizedError, ForbiddenError, or NotNowError if PodWarden is unavailable.
        """
        if credentials.authorization is None and credentials.session is not None:
            session = self.sessions.read(credentials.session)
            if session is not None:
                return await self._admit_session(session)
        secret = mcp_token(credentials.authorization, self.token_prefix)
        if secret is not None:
            token = await self.tokens.find(hash_token(secret))
            if token is not None:
                return self._admit_token(token)
        return await self._ask_podwarden(credentials)

    async def sign_in(self, token_hash: str) -> tuple[str, Reader]:
        """Return a new session for the token with *token_hash*, and its reader.

        Raises UnauthorizedError or ForbiddenError if the token may not read. Only tokens of the
        token table can sign in: other credentials would have to be stored, because PodWarden
        must see them again with each request.
        """
        token = await self._token_that_may_read(token_hash)
        text = self.sessions.issue(token_hash)
        return text, self._admit_token(token, self.sessions.read(text))

    async def token_of(self, credentials: Credentials) -> str:
        """Return the hash of the token in the Authorization field, which may read.

        Raises UnauthorizedError or ForbiddenError. A session does not count: what it may do ends
        with it.
        """
        secret = mcp_token(credentials.authorization, self.token_prefix)
        if secret is None:
            raise UnauthorizedError("A token is needed in the Authorization field")
        token_hash = hash_token(secret)
        _ = await self._token_that_may_read(token_hash)
        return token_hash

    async def _token_that_may_read(self, token_hash: str) -> Token:
        token = await self.tokens.find(token_hash)
        if token is None:
            raise UnauthorizedError("Invalid credentials")
        _ = self._admit_token(token)
        return token

    def sign_out(self, credentials: Credentials) -> None:
        """End the caller's session, if it has one."""
        session = self.sessions.read(credentials.session or "")
        if session is not None:
            self.sessions.end(session)

    async def _admit_session(self, session: Session) -> Reader:
        token = await self.tokens.find(session.token_hash)
        if token is None:
            raise UnauthorizedError("The token of this session no longer exists")
        return self._admit_token(token, session)

    def _admit_token(self, token: Token, session: Session | None = None) -> Reader:
        refusal = refusal_of_token(token, self.reader_roles, self.now)
        if refusal is not None:
            refusal.token_name = token.name
            raise refusal
        return Reader(token.name, token.role, token.id, session.digest if session else None)

    async def _ask_podwarden(self, credentials: Credentials) -> Reader:
        if not credentials:
            raise UnauthorizedError("Not authenticated")
        if self.judge is None:
            raise UnauthorizedError("Invalid credentials")
        refusal = refusal_of_status(await self.judge.judge(credentials))
        if refusal is not None:
            raise refusal
        return Reader()


def refusal_of_token(
    token: Token, reader_roles: frozenset[str], now: Callable[[], datetime]
) -> ReaderRefusedError | None:
    """Return why *token* may not read, or None if it may. A token without a role may not read."""
    reason = refusal_of(token, now)
    if reason is not None:
        return UnauthorizedError(reason.capitalize())
    if token.role not in reader_roles:
        return ForbiddenError("This token's role may not read the audit log")
    return None


def refusal_of_status(status: int) -> ApiError | None:
    """Return the error that PodWarden's *status* means for a caller, or None if it may read.

    A redirect or a server error decides nothing: the caller is neither admitted nor refused, and
    is told to retry.
    """
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthorizedError("PodWarden does not accept these credentials")
    if status == HTTPStatus.FORBIDDEN:
        return ForbiddenError("PodWarden does not let these credentials read its settings")
    return NotNowError(f"PodWarden responded {status}, which does not decide on these credentials")
