"""Admission: which calls are audited, which token makes them, and whether they may proceed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Final, NoReturn

from audit_log.addresses import Network
from audit_log.refusals import refusal_of
from audit_log.tokens import NOT_LOOKED_UP, UNKNOWN, Token
from proxy.audit.callers import Callers
from proxy.audit.exchange import (
    AuditedCall,
    AuditedExchange,
    Exchange,
    Recorder,
    UnauditedExchange,
    standing_of,
)
from proxy.audit.identity import OTHER, Credentials, TokenRecogniser, principal_in
from proxy.audit.record_text import request_members
from proxy.audit.tally import Tally
from proxy.audit.trace_context import trace_context
from proxy.http.errors import RefusedError, TokenRefusedError, TokenUnjudgedError
from proxy.http.peers import Peer, client_address
from proxy.http.request import RequestHead
from proxy.http.target import AuditedPaths
from proxy.mcp.endpoint import McpAdmission
from proxy.tokens.cache import TokenCache, TokenCacheBusyError, TokenCacheUnavailableError
from proxy.tokens.memory import MISSING

UNJUDGED: Final = "token_not_judged"
"""The kind of oddity that is a call forwarded although its token could not be looked up."""
AMBIGUOUS: Final = "Authorization is not one `Bearer` token: it is not clear who is calling"


class TokenPolicy(StrEnum):
    """What happens to a call whose token is unknown, expired or revoked."""

    ENFORCE = "enforce"
    """The sidecar responds with 401."""
    OBSERVE = "observe"
    """The call is forwarded; the API decides."""


class Call:
    """What the head of a request tells of its call.

    No struct, for the reason that `RequestHead` is none.
    """

    def __init__(
        self,
        head: RequestHead,
        client_ip: str,
        *,
        leads_to_mcp: bool = False,
        audited: AuditedCall | None = None,
        principal: str | None = None,
    ) -> None:
        """It is made on behalf of *principal*, as a trusted proxy says."""
        self.head: Final = head
        self.client_ip: Final = client_ip
        self.leads_to_mcp: Final = leads_to_mcp
        self.audited: Final = audited
        self.principal: Final = principal


@dataclass(frozen=True, slots=True)
class Admission:
    """Makes the exchange of a call, identifies its caller, refuses a call with a bad token."""

    recogniser: TokenRecogniser
    audited_paths: AuditedPaths
    policy: TokenPolicy
    cache: TokenCache
    recorder: Recorder
    tally: Tally
    callers: Callers
    trusted: Sequence[Network]
    mcp: McpAdmission
    now: Callable[[], datetime]
    """Returns the time by which tokens expire: PostgreSQL's."""
    is_traced: bool = False
    """Whether a span is sent of each call."""
    principal_field: bytes | None = None
    """The field, in lower case, in which trusted proxies name the principal."""

    def recognise(self, head: RequestHead, peer: Peer) -> Call:
        """Return what *head* alone tells of its call; that is the same when it repeats."""
        trusted = self.trusted
        client_ip = client_address(peer, head.fields, trusted) if peer.is_trusted else peer.address
        token_hash = self.recogniser.token_hash(head.fields)
        audited = None
        if token_hash is not OTHER and self.audited_paths.cover(head.target):
            trace = trace_context(head) if self.is_traced else None
            audited = AuditedCall(
                token_hash, client_ip, head.field(b"user-agent"), request_members(head, trace)
            )
        principal = principal_in(head.fields, self.principal_field) if peer.is_trusted else None
        return Call(
            head,
            client_ip,
            leads_to_mcp=self.mcp.covers(head.target),
            audited=audited,
            principal=principal,
        )

    def decide(self, call: Call) -> Exchange:
        """Return the exchange of *call*, to be identified first if its token is not cached.

        Raises RefusedError, after recording it, when the call may not go on.
        """
        if call.leads_to_mcp:
            watched = self.mcp.exchange_of(call.head, call.client_ip, call.principal)
            if watched is not None:
                return watched
        if call.audited is None:
            return UnauditedExchange(self.tally)
        exchange = AuditedExchange(self.recorder, self.tally, self.callers, call.audited)
        token_hash = call.audited.token_hash
        if isinstance(token_hash, Credentials):
            refusal = RefusedError(AMBIGUOUS)
            exchange.end(refusal.outcome, refusal.status)
            raise refusal
        token = self.cache.known(token_hash)
        if (cause := self.mcp.cause_of(token_hash, call.head)) is not None:
            exchange.is_caused_by(cause)
        if token is not MISSING:
            self._judge(exchange, token)
        elif self.cache.is_out_of_reach:
            self.tally.oddities[UNJUDGED] += 1
        else:
            exchange.identification = partial(self._identify, exchange, token_hash)
        return exchange

    async def _identify(self, exchange: AuditedExchange, token_hash: str) -> None:
        try:
            token = await self.cache.identify(token_hash)
        except TokenCacheUnavailableError:
            # The API still validates; the writer resolves the name later.
            self.tally.oddities[UNJUDGED] += 1
        except TokenCacheBusyError:
            # A flood of invented tokens must not be a way past this policy.
            if self.policy is TokenPolicy.ENFORCE:
                self._refuse(exchange, NOT_LOOKED_UP, TokenUnjudgedError(NOT_LOOKED_UP))
            self.tally.oddities[UNJUDGED] += 1
        else:
            self._judge(exchange, token)

    def _judge(self, exchange: AuditedExchange, token: Token | None) -> None:
        complaint = UNKNOWN if token is None else refusal_of(token, self.now)
        exchange.is_made_with(token, standing_of(token, complaint))
        if complaint and self.policy is TokenPolicy.ENFORCE:
            self._refuse(exchange, complaint, TokenRefusedError(complaint))

    def _refuse(self, exchange: AuditedExchange, reason: str, refusal: RefusedError) -> NoReturn:
        self.tally.refused_tokens[reason] += 1
        exchange.end(refusal.outcome, refusal.status)
        raise refusal
