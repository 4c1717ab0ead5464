"""Which calls are audited, by whom they are made, and whether they may go on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from audit_log.record import Outcome
from audit_log.tokens import Token
from proxy.directory import DirectoryUnavailableError
from proxy.errors import RefusedError, TokenRefusedError
from proxy.exchange import (
    STATUS_CLIENT_CLOSED,
    AuditedExchange,
    Exchange,
    Recorder,
    Tally,
    UnauditedExchange,
)
from proxy.headers import Peer
from proxy.identity import AuditedPaths, Caller, Credentials, TokenRecogniser, client_address
from proxy.mcp.admission import McpAdmission
from proxy.request import RequestHead
from proxy.settings import Network, TokenPolicy
from proxy.token_memory import MISSING, Missing


class Directory(Protocol):
    """Who knows the tokens."""

    def known(self, token_hash: str) -> Token | Missing | None:
        """Return what memory says: the token, None if there is none, or MISSING."""

    async def identify(self, token_hash: str) -> Token | None:
        """Return the token, None if there is none. Raises DirectoryUnavailableError."""


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

    async def admit(self, head: RequestHead, peer: Peer) -> Exchange:
        """Return the exchange of *head*, with its caller identified if it is audited.

        Raises RefusedError, after recording it, when the call may not go on.
        """
        exchange, token_hash = self._exchange_of(head, peer)
        if not isinstance(exchange, AuditedExchange):
            return exchange
        exchange.cause = self.mcp.cause_of(token_hash, head)
        try:
            token = await self.directory.identify(token_hash)
        except DirectoryUnavailableError:
            return exchange  # the API still validates; the writer resolves the name later
        except asyncio.CancelledError:
            exchange.end(Outcome.CLIENT_CLOSED, STATUS_CLIENT_CLOSED)
            raise
        return self._judged(exchange, token_hash, token)

    def admit_at_once(self, head: RequestHead, peer: Peer) -> Exchange | None:
        """Do as `admit` does; return None, having done nothing, if that would take waiting."""
        exchange, token_hash = self._exchange_of(head, peer)
        if not isinstance(exchange, AuditedExchange):
            return exchange
        token = self.directory.known(token_hash)
        if token is MISSING:
            return None
        exchange.cause = self.mcp.cause_of(token_hash, head)
        return self._judged(exchange, token_hash, token)

    def _exchange_of(self, head: RequestHead, peer: Peer) -> tuple[Exchange, str]:
        """Return the exchange of *head*, and the hash of its token if it is audited."""
        client_ip = client_address(peer.address, head.fields, self.trusted)
        if mcp_exchange := self.mcp.exchange_of(head, client_ip):
            return mcp_exchange, ""
        token_hash = head.fields.derived(self.recogniser.token_hash)
        if token_hash is Credentials.OTHER or not self.audited_paths.cover(head.target):
            return UnauditedExchange(self.tally), ""
        exchange = AuditedExchange(self.recorder, self.tally, self.instance, head, client_ip)
        if isinstance(token_hash, Credentials):
            exchange.caller = Caller(token_name="Ambiguous credentials")
            refusal = RefusedError("several Authorization fields: it is not clear who is calling")
            exchange.end(refusal.outcome, refusal.status)
            raise refusal
        exchange.caller = Caller(token_hash=token_hash)
        return exchange, token_hash

    def _judged(
        self, exchange: AuditedExchange, token_hash: str, token: Token | None
    ) -> AuditedExchange:
        exchange.caller = Caller.of(token_hash, token)
        complaint = token.refusal(exchange.created_at) if token else "unknown token"
        if complaint and self.policy is TokenPolicy.ENFORCE:
            refusal = TokenRefusedError(complaint)
            exchange.end(refusal.outcome, refusal.status)
            raise refusal
        return exchange
