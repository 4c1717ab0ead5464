"""How long tool calls took: `mcp.server.operation.duration` of OpenTelemetry's words for MCP.

A proxy receives each request as the server does, so it may tell that one of the four durations.
`mcp.client.operation.duration` would be the same number under the name of a party that it is not.
The two of sessions are left out as well: many sessions end without a word.
"""

from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric

from audit_log.record import Invocation, ToolOutcome
from proxy.telemetry.tool_errors import error_type_of

BOUNDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
"""Seconds, as the conventions ask for."""
_LES: Final = (*(str(float(bound)) for bound in BOUNDS), "+Inf")
MAX_TOOLS: Final = 200
MAX_SERIES: Final = 1_000
OTHER: Final = "_OTHER"
_NAME: Final = "mcp_server_operation_duration_seconds"
_LABELS: Final = ("mcp_method_name", "gen_ai_operation_name", "gen_ai_tool_name", "error_type")
_TOOL_CALL: Final = ("tools/call", "execute_tool")


class ToolDurations:
    """Counts tool calls by tool, class of error and duration.

    Clients can invent tools: a tool has a name of its own once a call of it has gone well.
    """

    def __init__(self) -> None:
        self._tools: set[str] = set()
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def note(self, invocation: Invocation) -> None:
        """Count *invocation*, which has ended, unless it asked its user: who may be slow."""
        if invocation.duration_ms is None or invocation.rounds > 1:
            return
        key = (self._tool_of(invocation), error_type_of(invocation) or "")
        if key not in self._counts:
            if len(self._counts) >= MAX_SERIES:
                key = (OTHER, OTHER)
            self._counts.setdefault(key, [0] * (len(BOUNDS) + 1))
        seconds = invocation.duration_ms / 1_000
        self._counts[key][bisect_left(BOUNDS, seconds)] += 1
        self._seconds[key] += seconds

    def metric(self) -> Metric:
        """Return the numbers of this moment."""
        family = HistogramMetricFamily(_NAME, "How long tool calls took", labels=_LABELS)
        for (tool, error), counts in self._counts.items():
            buckets = [
                (bound, count) for bound, count in zip(_LES, accumulate(counts), strict=True)
            ]
            family.add_metric([*_TOOL_CALL, tool, error], buckets, self._seconds[tool, error])
        return family

    def _tool_of(self, invocation: Invocation) -> str:
        tool, tools = invocation.tool, self._tools
        if tool in tools:
            return tool
        if invocation.outcome is not ToolOutcome.OK or len(tools) >= MAX_TOOLS:
            return OTHER
        tools.add(tool)
        return tool
