"""A few real calls through the sidecar: agents of both eras of MCP, and scripts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation

from deploy.local.demo_tokens import DemoToken

_AGENTS: Final = (
    ("viewer", "claude-code", "legacy"),
    ("operator", "deploy-bot", "2026-07-28"),
)
_TOOL_CALLS: Final[Sequence[tuple[str, Mapping[str, Any]]]] = (
    ("list_clusters", {}),
    ("troubleshoot_workload", {"assignment_id": "gitea-edge"}),
    ("deploy_workload", {"assignment_id": "grafana-core"}),  # 403 for a viewer
    ("restart_host", {"host_id": "edge-03"}),  # offline: 409
)
_REQUESTS: Final = (
    ("admin", "GET", "hosts"),
    ("admin", "POST", "hosts/edge-01/restart"),
    ("admin", "GET", "hosts/edge-09"),  # 404
    ("viewer", "POST", "hosts/edge-02/restart"),  # 403
    ("nobody", "GET", "clusters"),  # 401
)


async def make_real_calls(proxy: str, tokens: Mapping[str, DemoToken]) -> int:
    """Call as the demo tokens, and once as nobody; return how many calls were made here.

    Tools make further API calls themselves. Raises httpx2.HTTPError if *proxy* does not answer.
    """
    for role, name, mode in _AGENTS:
        async with (
            httpx2.AsyncClient(headers=_fields(tokens, role)) as http,
            Client(
                streamable_http_client(f"{proxy}/mcp", http_client=http),
                client_info=Implementation(name=name, version="1.0"),
                mode=mode,
            ) as agent,
        ):
            for tool, arguments in _TOOL_CALLS:
                await agent.call_tool(tool, dict(arguments))
    async with httpx2.AsyncClient() as http:
        for role, method, path in _REQUESTS:
            await http.request(method, f"{proxy}/api/v1/{path}", headers=_fields(tokens, role))
    return len(_AGENTS) * len(_TOOL_CALLS) + len(_REQUESTS)


def _fields(tokens: Mapping[str, DemoToken], role: str) -> dict[str, str]:
    secret = tokens[role].secret if role in tokens else "pwm_nobody-has-this-token"
    return {"Authorization": f"Bearer {secret}"}
