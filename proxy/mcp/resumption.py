"""A stream that a client resumes: responses to tool calls whose own stream was cut off."""

from audit_log.record import Outcome
from proxy.audit.exchange import Exchange, UnauditedExchange
from proxy.audit.tally import Tally
from proxy.http.framing import Payload
from proxy.http.response import ResponseHead
from proxy.mcp.json_stream import Values
from proxy.mcp.messages import tool_response_of
from proxy.mcp.reading import ResponseReading
from proxy.mcp.sessions import SessionKey, Sessions


class Resumption(Exchange):
    """A GET with `Last-Event-ID` (MCP 2025-11-25, transports, resumability and redelivery)."""

    def __init__(self, key: SessionKey, sessions: Sessions, tally: Tally) -> None:
        """Look for responses to the tool calls of the session *key*."""
        self._counted = UnauditedExchange(tally)
        self._key = key
        self._sessions = sessions

    def response_opened(self, head: ResponseHead) -> Payload | None:
        """Return the reader of the stream."""
        return ResponseReading(head, self._message_received).feed

    def end(self, outcome: Outcome, status: int) -> None:
        """Count the exchange. The tool calls stay open: a client may resume the stream again."""
        self._counted.end(outcome, status)

    def _message_received(self, values: Values) -> None:
        response = tool_response_of(values)
        call = response and self._sessions.find(self._key, response.rpc_id)
        if response and call:
            call.end(response)
