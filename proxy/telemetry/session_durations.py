"""How long sessions lasted: `mcp.server.session.duration` of OpenTelemetry's words for MCP.

From the response to `initialize` to the DELETE that the server accepted. A session that ends
without a DELETE is not counted: its end is not seen here. From MCP 2026-07-28 on there are none.
"""

import re
from typing import Final

from prometheus_client.core import Metric

from proxy.telemetry.durations import OTHER, Durations

_NAME: Final = "mcp_server_session_duration_seconds"
_HELP: Final = "How long sessions lasted that their client ended"
_VERSION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MAX_SERIES: Final = 20


class SessionDurations:
    """Counts ended sessions by protocol version and duration."""

    def __init__(self) -> None:
        self._durations = Durations(("mcp_protocol_version",), _MAX_SERIES)

    def note(self, seconds: float, version: str | None) -> None:
        """Count a session that has ended, in which *version* was spoken, if that is known."""
        is_known = version is None or _VERSION.fullmatch(version)
        self._durations.note(((version or "") if is_known else OTHER,), seconds)

    def metric(self) -> Metric:
        """Return the numbers of this moment."""
        return self._durations.metric(_NAME, _HELP)
