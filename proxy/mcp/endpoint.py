"""Which requests go to the MCP server, and whose tool calls they carry."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from audit_log.record import Origin
from audit_log.refusals import refusal_of
from audit_log.tokens import Token
from proxy.audit.exchange import Cause, Exchange, standing_of
from proxy.audit.identity import Caller, Credentials, TokenRecogniser
from proxy.audit.shares import Standing
from proxy.audit.tally import Tally
from proxy.http.request import RequestHead
from proxy.http.target import path_of
from proxy.mcp.agents.agent import Agent
from proxy.mcp.call_record import HUB, Source
from proxy.mcp.in_flight import HUB_KEY
from proxy.mcp.lasting.session_end import SessionEnd
from proxy.mcp.resumption import Resumption
from proxy.mcp.tool_calls import ToolCalls
from proxy.mcp.tool_exchange import McpExchange
from proxy.mcp.trace import travel_ids_of
from proxy.tokens.cache import TokenCache
from proxy.tokens.memory import MISSING

AMBIGUOUS_KEY: Final = "ambiguous"
"""The key of tool calls with several credentials. It cannot equal the hash of a token."""
_SLASHES: Final = re.compile(rb"/+")


@dataclass(frozen=True, slots=True)
class McpAdmission:
    """Makes the exchanges of the MCP server, and ties API calls to the tool calls in them.

    It refuses no request: on the MCP path the upstream always decides.
    """

    path: bytes
    tokens: TokenRecogniser
    hub_keys: TokenRecogniser
    token_cache: TokenCache
    calls: ToolCalls
    tally: Tally
    now: Callable[[], datetime]
    """Returns the time by which tokens expire: PostgreSQL's."""
    with_traceparent: bool = False
    """Whether tool calls are sent along a `traceparent` of ours."""

    def exchange_of(
        self, head: RequestHead, client_ip: str, principal: str | None
    ) -> Exchange | None:
        """Return the exchange of *head*, a request to the MCP server on behalf of *principal*.

        Return None if it can carry neither tool calls nor their responses.
        """
        source = self._source(head, client_ip)
        if source is None:
            return None
        if head.method == b"POST":
            if principal is not None:
                source = replace(source, agent=Agent(principal=principal))
            return McpExchange(
                head, source, self.calls, self.tally, with_traceparent=self.with_traceparent
            )
        if head.method == b"GET" and source.session:
            return Resumption((source.key, source.session), self.calls, self.tally)
        if head.method == b"DELETE" and source.session:
            return SessionEnd((source.key, source.session), self.calls, self.tally)
        return None

    def cause_of(self, token_hash: str, head: RequestHead) -> Cause | None:
        """Return the tool call that caused an API call with that token; None if it is unclear."""
        in_flight = self.calls.in_flight
        if not in_flight.knows_any:
            return None
        found = in_flight.cause_of(token_hash, travel_ids_of(head))
        if found is None:
            return None
        call, attribution = found
        return Cause(call.tool, call.id, attribution, call.traceparent)

    def covers(self, target: bytes) -> bool:
        """Return whether *target* is the MCP path, in any spelling that servers accept.

        Percent-encoding and additional slashes are undone. Dot segments are not resolved: else a
        client could make a path below an audited one count as this one, and be recorded nowhere.
        """
        if b"%" not in target and b"//" not in target and not target.startswith(self.path):
            return False  # most targets: no other spelling of the path, and no absolute form
        path = path_of(target)
        if b"%" in path or b"//" in path:
            path = _SLASHES.sub(b"/", unquote_to_bytes(path))
        return path.rstrip(b"/") == self.path

    def _source(self, head: RequestHead, client_ip: str) -> Source | None:
        """Return where the tool calls of *head* come from; None if it has no known credentials."""
        token_hash = self.tokens.token_hash(head.fields)
        hub_key = self.hub_keys.token_hash(head.fields)
        session = head.field(b"mcp-session-id")
        given = (client_ip, head.request_id, session.decode("latin-1") if session else None)
        if Credentials.AMBIGUOUS in {token_hash, hub_key}:
            ambiguous = Caller.of(Credentials.AMBIGUOUS, None)
            return Source(Origin.MCP, ambiguous, AMBIGUOUS_KEY, *given)
        if isinstance(token_hash, str):
            return self._source_with(token_hash, given)
        return Source(Origin.HUB, HUB, HUB_KEY, *given) if isinstance(hub_key, str) else None

    def _source_with(self, token_hash: str, given: tuple[str, str | None, str | None]) -> Source:
        token = self.token_cache.known(token_hash)
        if token is MISSING:
            self.token_cache.look_up(token_hash)
        complaint = refusal_of(token, self.now) if isinstance(token, Token) else None
        standing = standing_of(token, complaint)
        if standing is Standing.UNRESOLVED:
            # One request can carry a hundred tool calls, so its caller must be known.
            standing = Standing.UNKNOWN
        caller = Caller.of(token_hash, token)
        return Source(Origin.MCP, caller, token_hash, *given, standing=standing)
