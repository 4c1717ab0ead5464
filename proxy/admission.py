"""Which calls are audited, by whom they are made, and whether they may go on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from audit_log.record import Outcome
from audit_log.tokens import UNKNOWN, Token
from proxy.audit.exchange import (
    STATUS_CLIENT_CLOSED,
    AuditedCall,
    AuditedExchange,
    Exchange,
    Observer,
    Recorder,
    UnauditedExchange,
)
from proxy.audit.identity import Credentials, TokenRecogniser
from proxy.audit.tally import Tally
from proxy.http.errors import RefusedError, TokenRefusedError
from proxy.http.peers import Network, Peer, client_address
from proxy.http.request import RequestHead
from proxy.http.target import AuditedPaths
from proxy.mcp.endpoint import McpAdmission
from proxy.tokens.cache import TokenCacheUnavailableError
from proxy.tokens.memory import MISSING, Missing


class TokenPolicy(StrEnum):
    """What happens to a call whose token is unknown, expired or revoked."""

    ENFORCE = "enforce"
    """The sidecar answers 401."""
    OBSERVE = "observe"
    """The call goes on; the API decides."""


class Directory(Protocol):
    """Who knows the tokens."""

    @property
    def is_out_of_reach(self) -> bool:
        """Say whether asking for a token would be in vain for now."""

    def known(self, token_hash: str) -> Token | Missing | None:
        """Return what memory says: the token, None if there is none, or MISSING."""

    async def identify(self, token_hash: str) -> Token | None:
        """Return the token, None if there is none. Raises TokenCacheUnavailableError."""


@dataclass(frozen=True, slots=True)
class Call:
    """What the head of a request tells of its call."""

    head: RequestHead
    client_ip: str
    leads_to_mcp: bool
    audited: AuditedCall | None


@dataclass(frozen=True, slots=True)
class Admission:
    """Admits calls: makes their exchange, tells who is calling, refuses those with a bad token."""

    recogniser: TokenRecogniser
    audited_paths: AuditedPaths
    policy: TokenPolicy
    directory: Directory
    recorder: Recorder
    tally: Tally
    instance: str
    trusted: Sequence[Network]
    mcp: McpAdmission
    watches: Sequence[Observer] = ()
    """Who is told of each audited call that has ended."""

    def recognise(self, head: RequestHead, peer: Peer) -> Call:
        """Return what *head* alone tells of its call; that is the same when it repeats."""
        client_ip = client_address(peer.address, head.fields, self.trusted)
        token_hash = head.fields.derived(self.recogniser.token_hash)
        audited = None
        if token_hash is not Credentials.OTHER and self.audited_paths.cover(head.target):
            audited = AuditedCall(head, token_hash, client_ip, self.instance)
        return Call(head, client_ip, self.mcp.covers(head.target), audited)

    async def admit(self, head: RequestHead, peer: Peer) -> Exchange:
        """Return the exchange of *head*, with its caller identified if it is audited.

        Raises RefusedError, after recording it, when the call may not go on.
        """
        call = self.recognise(head, peer)
        if (unaudited := self._unaudited(call)) is not None:
            return unaudited
        exchange, token_hash = self._audited(call)
        self._tie(exchange, token_hash, head)
        try:
            token = await self.directory.identify(token_hash)
        except TokenCacheUnavailableError:
            return exchange  # the API still validates; the writer resolves the name later
        except asyncio.CancelledError:
            exchange.end(Outcome.CLIENT_CLOSED, STATUS_CLIENT_CLOSED)
            raise
        return self._judged(exchange, token)

    def admit_at_once(self, call: Call) -> Exchange | None:
        """Do as `admit` does; return None, having done nothing, if that would take waiting."""
        if (unaudited := self._unaudited(call)) is not None:
            return unaudited
        exchange, token_hash = self._audited(call)
        token = self.directory.known(token_hash)
        if token is MISSING and not self.directory.is_out_of_reach:
            return None
        self._tie(exchange, token_hash, call.head)
        return exchange if token is MISSING else self._judged(exchange, token)

    def _unaudited(self, call: Call) -> Exchange | None:
        """Return the exchange of *call*, or None if it leaves an entry of its own."""
        if call.leads_to_mcp and (watched := self.mcp.exchange_of(call.head, call.client_ip)):
            return watched
        return UnauditedExchange(self.tally) if call.audited is None else None

    def _audited(self, call: Call) -> tuple[AuditedExchange, str]:
        """Return the exchange of *call* and the hash of its token."""
        assert call.audited is not None
        exchange = AuditedExchange(self.recorder, self.tally, call.audited, self.watches)
        if isinstance(call.audited.token_hash, Credentials):
            refusal = RefusedError("several Authorization fields: it is not clear who is calling")
            exchange.end(refusal.outcome, refusal.status)
            raise refusal
        return exchange, call.audited.token_hash

    def _tie(self, exchange: AuditedExchange, token_hash: str, head: RequestHead) -> None:
        """Tie *exchange* to the tool call behind it, if that is clear."""
        if (cause := self.mcp.cause_of(token_hash, head)) is not None:
            exchange.is_caused_by(cause)

    def _judged(self, exchange: AuditedExchange, token: Token | None) -> AuditedExchange:
        exchange.token = token
        complaint = token.refusal(exchange.created_at) if token else UNKNOWN
        if complaint and self.policy is TokenPolicy.ENFORCE:
            self.tally.refused_tokens[complaint] += 1
            refusal = TokenRefusedError(complaint)
            exchange.end(refusal.outcome, refusal.status)
            raise refusal
        return exchange
