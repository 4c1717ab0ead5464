"""How long tool calls took: `mcp.server.operation.duration` of OpenTelemetry's words for MCP.

A proxy receives each request as the server does, so it may tell this duration and that of sessions
(`proxy.telemetry.session_durations`). The two of the client would be the same numbers under the
name of a party that it is not.
"""

from typing import Final

from prometheus_client.core import Metric

from audit_log.record import Invocation, ToolOutcome
from proxy.audit.exchange import STATUS_CLIENT_CLOSED
from proxy.telemetry.durations import OTHER, Durations
from proxy.telemetry.tool_errors import error_type_of

MAX_TOOLS: Final = 200
MAX_SERIES: Final = 1_000
_NAME: Final = "mcp_server_operation_duration_seconds"
_LABELS: Final = ("gen_ai_tool_name", "error_type")
_TOOL_CALL: Final = (
    ("mcp_method_name", "tools/call"),
    ("gen_ai_operation_name", "execute_tool"),
)


class ToolDurations:
    """Counts tool calls by tool, class of error and duration.

    Clients can invent tools: a tool has a name of its own once a call of it has gone well.
    """

    def __init__(self) -> None:
        self._tools: set[str] = set()
        self._durations = Durations(_LABELS, MAX_SERIES)

    def note(self, invocation: Invocation) -> None:
        """Count *invocation*, which has ended, unless it asked its user: who may be slow.

        Nor does the time count after which the client left and the tool worked on.
        """
        if invocation.duration_ms is None or invocation.rounds > 1 or _went_on(invocation):
            return
        values = (self._tool_of(invocation), error_type_of(invocation) or "")
        self._durations.note(values, invocation.duration_ms / 1_000)

    def metric(self) -> Metric:
        """Return the numbers of this moment."""
        return self._durations.metric(_NAME, "How long tool calls took", _TOOL_CALL)

    def _tool_of(self, invocation: Invocation) -> str:
        tool, tools = invocation.tool, self._tools
        if tool in tools:
            return tool
        if invocation.outcome is not ToolOutcome.OK or len(tools) >= MAX_TOOLS:
            return OTHER
        tools.add(tool)
        return tool


def _went_on(invocation: Invocation) -> bool:
    """Return whether its client was gone before it ended, and had not cancelled it."""
    is_left = invocation.outcome is not ToolOutcome.CANCELLED
    return is_left and invocation.status_code == STATUS_CLIENT_CLOSED
