"""A DELETE of a session, by which its client ends its tool calls as well."""

from http import HTTPStatus

from audit_log.record import Outcome
from proxy.audit.exchange import Exchange, UnauditedExchange
from proxy.audit.tally import Tally
from proxy.http.framing import Payload
from proxy.http.response import ResponseHead
from proxy.mcp.sessions import SessionKey
from proxy.mcp.tool_calls import ToolCalls


class SessionEnd(Exchange):
    """A DELETE (MCP 2025-11-25, transports, session management)."""

    def __init__(self, key: SessionKey, calls: ToolCalls, tally: Tally) -> None:
        """End the tool calls of the session *key* if the server accepts."""
        self._counted = UnauditedExchange(tally)
        self._key = key
        self._calls = calls

    def response_opened(self, head: ResponseHead) -> Payload | None:
        """End the tool calls if the session has ended."""
        if HTTPStatus.OK <= head.status < HTTPStatus.MULTIPLE_CHOICES:
            self._calls.end_session(self._key)
        return None

    def end(self, outcome: Outcome, status: int) -> None:
        """Count the exchange."""
        self._counted.end(outcome, status)
