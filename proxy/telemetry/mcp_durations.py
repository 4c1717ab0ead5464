"""What is told of how long things took in MCP."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import Metric

from proxy.telemetry.session_durations import SessionDurations
from proxy.telemetry.tool_durations import ToolDurations


@dataclass(frozen=True, slots=True)
class McpDurations:
    """How long tool calls and sessions took."""

    tool_calls: ToolDurations = field(default_factory=ToolDurations)
    sessions: SessionDurations = field(default_factory=SessionDurations)

    def metrics(self) -> Iterator[Metric]:
        """Yield the numbers of this moment."""
        yield self.tool_calls.metric()
        yield self.sessions.metric()
