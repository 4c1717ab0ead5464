"""A stream of a session beside those of its requests: it may tell how tool calls end."""

from audit_log.record import Outcome
from proxy.audit.exchange import Exchange, UnauditedExchange
from proxy.audit.tally import Tally
from proxy.http.framing import Payload
from proxy.http.response import ResponseHead
from proxy.mcp.json_stream import Values
from proxy.mcp.messages import asks_client, tool_response_of
from proxy.mcp.reading import ResponseReading
from proxy.mcp.sessions import SessionKey
from proxy.mcp.tool_calls import ToolCalls


class Resumption(Exchange):
    """A GET (MCP 2025-11-25, transports).

    With `Last-Event-ID` it brings responses to tool calls whose own stream was cut off. In either
    case it may tell about tasks.
    """

    def __init__(self, key: SessionKey, calls: ToolCalls, tally: Tally) -> None:
        """Look for what is about tool calls of the session *key*, or of its caller."""
        self._counted = UnauditedExchange(tally)
        self._key = key
        self._calls = calls

    def response_opened(self, head: ResponseHead) -> Payload | None:
        """Return the reader of the stream."""
        return ResponseReading(head, self._message_received, listens=True).feed

    def end(self, outcome: Outcome, status: int) -> None:
        """Count the exchange. The tool calls stay open: a client may resume the stream again."""
        self._counted.end(outcome, status)

    def _message_received(self, values: Values) -> None:
        response = tool_response_of(values)
        call = response and self._calls.sessions.find(self._key, response.rpc_id)
        if response and call:
            call.end(response)
        if asks_client(values):
            self._calls.ask(self._key, values, self._calls.sessions.the_one_in(self._key))
        self._calls.tasks.resume(self._key, values)
