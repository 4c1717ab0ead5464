"""Which requests go to the MCP server, and whose tool calls they bring."""

from dataclasses import dataclass
from typing import Protocol

from audit_log.record import Origin
from audit_log.tokens import Token
from proxy.exchange import Cause, Tally
from proxy.identity import Caller, TokenRecogniser, path_of
from proxy.mcp.exchange import McpExchange
from proxy.mcp.in_flight import HUB_KEY
from proxy.mcp.tool_calls import HUB, Source, ToolCalls
from proxy.mcp.trace import travel_ids_of
from proxy.request import RequestHead
from proxy.token_memory import MISSING, Missing


class KnownTokens(Protocol):
    """Who knows the tokens without having to ask for them."""

    def known(self, token_hash: str) -> Token | Missing | None:
        """Return what memory says: the token, None if there is none, or MISSING."""


@dataclass(frozen=True, slots=True)
class McpAdmission:
    """Makes the exchanges of the MCP server, and ties API calls to the tool calls in them.

    It refuses nobody: on the MCP path the upstream always decides.
    """

    path: bytes
    tokens: TokenRecogniser
    hub_keys: TokenRecogniser
    directory: KnownTokens
    calls: ToolCalls
    tally: Tally

    def exchange_of(self, head: RequestHead, client_ip: str) -> McpExchange | None:
        """Return the exchange of *head* if it can bring tool calls, else None."""
        if head.method != b"POST" or path_of(head.target).rstrip(b"/") != self.path:
            return None
        if isinstance(token_hash := self.tokens.token_hash(head.fields), str):
            source = Source(
                Origin.MCP, self._caller(token_hash), token_hash, client_ip, head.request_id
            )
        elif isinstance(self.hub_keys.token_hash(head.fields), str):
            source = Source(Origin.HUB, HUB, HUB_KEY, client_ip, head.request_id)
        else:
            return None
        return McpExchange(head, source, self.calls, self.tally)

    def cause_of(self, token_hash: str, head: RequestHead) -> Cause | None:
        """Return the tool call behind an API call with that token, if that is clear."""
        in_flight = self.calls.in_flight
        found = in_flight.cause_of(token_hash, travel_ids_of(head)) if in_flight else None
        return found and Cause(found[0].tool, found[0].id, found[1])

    def _caller(self, token_hash: str) -> Caller:
        token = self.directory.known(token_hash)
        return Caller(token_hash=token_hash) if token is MISSING else Caller.of(token_hash, token)
