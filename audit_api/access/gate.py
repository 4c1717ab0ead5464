"""Who may read the audit log: a decision over values, and the door that gathers them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from audit_api.access.credentials import Credentials, mcp_token
from audit_api.access.sessions import Session, Sessions
from audit_api.errors import ApiError, ForbiddenError, NotNowError, UnauthorizedError
from audit_log.tokens import Token, hash_token


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who may read. PodWarden does not tell us whom it lets in."""

    name: str | None = None
    role: str | None = None


class TokenFinder(Protocol):
    """Where tokens are known: all that the gate needs of a token table."""

    async def find(self, token_hash: str) -> Token | None:
        """Return the token with *token_hash*, or None."""


class Judge(Protocol):
    """Who knows the credentials that we do not: PodWarden."""

    async def judge(self, credentials: Credentials) -> int:
        """Return the status with which *credentials* are answered; NotNowError without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Lets readers in. Nothing is remembered from one question to the next.

    A revoked token must be refused on its next request; the audit log has few readers, and
    without PostgreSQL there is no answer to give them anyway. So every question asks afresh.
    """

    tokens: TokenFinder
    judge: Judge | None
    sessions: Sessions
    token_prefix: str
    reader_roles: frozenset[str]
    now: Callable[[], datetime]

    async def admit(self, credentials: Credentials) -> Reader:
        """Return who the caller is, if it may read; otherwise raise the answer it gets."""
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

    async def sign_in(self, secret: str) -> str:
        """Trade the token *secret* for a session; raise the answer if it may not read.

        Only a token that we can look up: what PodWarden alone accepts would have to be kept, to
        be shown to it again with each question.
        """
        token_hash = hash_token(secret)
        token = await self.tokens.find(token_hash)
        if token is None:
            raise UnauthorizedError("Invalid credentials")
        self._admit_token(token)
        return self.sessions.issue(token_hash)

    def sign_out(self, credentials: Credentials) -> None:
        """End the caller's session, if it has one."""
        session = self.sessions.read(credentials.session or "")
        if session is not None:
            self.sessions.end(session)

    async def _admit_session(self, session: Session) -> Reader:
        token = await self.tokens.find(session.token_hash)
        if token is None:
            raise UnauthorizedError("The token of this session is gone")
        return self._admit_token(token)

    def _admit_token(self, token: Token) -> Reader:
        refusal = refusal_of_token(token, self.reader_roles, self.now())
        if refusal is not None:
            raise refusal
        return Reader(token.name, token.role)

    async def _ask_podwarden(self, credentials: Credentials) -> Reader:
        if not credentials:
            raise UnauthorizedError("Not authenticated")
        if self.judge is None:
            raise UnauthorizedError("Invalid credentials")
        refusal = refusal_of_status(await self.judge.judge(credentials))
        if refusal is not None:
            raise refusal
        return Reader()


def refusal_of_token(token: Token, reader_roles: frozenset[str], now: datetime) -> ApiError | None:
    """Return why *token* may not read, or None if it may. A token without a role may not."""
    reason = token.refusal(now)
    if reason is not None:
        return UnauthorizedError(reason.capitalize())
    if token.role not in reader_roles:
        return ForbiddenError("This token's role may not read the audit log")
    return None


def refusal_of_status(status: int) -> ApiError | None:
    """Return what PodWarden's *status* means for a caller, or None if it may read.

    A redirect or an error is no judgement, so nobody is let in by one or blamed for it.
    """
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthorizedError("PodWarden does not accept these credentials")
    if status == HTTPStatus.FORBIDDEN:
        return ForbiddenError("PodWarden does not let these credentials read its settings")
    return NotNowError(f"PodWarden answered {status} instead of judging these credentials")
