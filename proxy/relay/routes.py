"""Which upstream serves a request. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from proxy.http.target import path_of
from proxy.relay.upstream_pool import Upstream

_AUDIT_PATHS: Final = re.compile(
    rb"/api/v1/settings/mcp-audit(?:/.*)?"
    rb"|/api/v1/settings/mcp-tokens/[^/]+/audit(?:/.*)?"
    rb"|/settings/mcp/activity(?:/.*)?",
    re.DOTALL,
)
"""The documented audit paths, what belongs to them, and the Activity Log page."""


@dataclass(frozen=True, slots=True)
class Routes:
    """The API, and the audit API beside it if operators are to see one origin."""

    api: Upstream
    audit_api: Upstream | None

    def upstream_of(self, target: bytes) -> Upstream:
        """Return the upstream that serves *target*."""
        if self.audit_api is not None and _AUDIT_PATHS.fullmatch(path_of(target)):
            return self.audit_api
        return self.api
