"""A stream that a client resumes: the answers of tool calls whose own stream was cut off."""

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
        """Observer for answers to the tool calls of one session."""
        self._counted = UnauditedExchange(tally)
        self._key = key
        self._sessions = sessions

    def response_opened(self, head: ResponseHead) -> Payload | None:
        """Return what watches the stream."""
        return ResponseReading(head, self._message_received).feed

    def end(self, outcome: Outcome, status: int) -> None:
        """Count it; the tool calls may be resumed once more."""
        self._counted.end(outcome, status)

    def _message_received(self, values: Values) -> None:
        answer = tool_response_of(values)
        call = answer and self._sessions.find(self._key, answer.rpc_id)
        if answer and call:
            call.end(answer)
