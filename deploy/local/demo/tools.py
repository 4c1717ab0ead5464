"""The demo MCP server: tools that call the API through the sidecar, as PodWarden's own do."""

from typing import Any, Final
from urllib.parse import quote

from aiohttp import ClientError, ClientSession
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

_PASSED_ON: Final = ("authorization", "baggage", "traceparent", "x-request-id")
"""The caller's token, what ties the API calls to the tool call, and the client's trace."""


class Tools:
    """The tools. Each says how many API calls it makes: so many entries it leaves."""

    def __init__(self, api: ClientSession) -> None:
        """*api* has the base URL at which the sidecar offers the API."""
        self._api = api

    def server(self) -> MCPServer:
        """Return the MCP server that offers all tools."""
        server = MCPServer("demo-podwarden", log_level="WARNING")
        for tool in (
            self.list_clusters,
            self.deploy_workload,
            self.troubleshoot_workload,
            self.restart_host,
        ):
            server.add_tool(tool)
        return server

    async def list_clusters(self, context: Context) -> Any:
        """List the clusters. One API call."""
        return await self._call(context, "GET", "clusters")

    async def deploy_workload(self, context: Context, assignment_id: str) -> Any:
        """Deploy a workload. One API call; the deployment goes on in the background."""
        return await self._call(context, "POST", "assignments", assignment_id, "deploy")

    async def troubleshoot_workload(self, context: Context, assignment_id: str) -> Any:
        """Gather what is known of a workload. Four API calls."""
        assignment = await self._call(context, "GET", "assignments", assignment_id)
        return {
            "assignment": assignment,
            "definition": await self._call(
                context, "GET", "definitions", assignment["definition_id"]
            ),
            "cluster": await self._call(context, "GET", "clusters", assignment["cluster_id"]),
            "logs": await self._call(context, "GET", "assignments", assignment_id, "logs"),
        }

    async def restart_host(self, context: Context, host_id: str = "edge-03") -> Any:
        """Restart a host. One API call; fails for `edge-03`, which is offline."""
        return await self._call(context, "POST", "hosts", host_id, "restart")

    async def _call(self, context: Context, method: str, *segments: str) -> Any:
        """Return the API's response; raise ToolError, with the API's message, when it refused."""
        path = "/".join(quote(segment, safe="") for segment in segments)
        given = context.headers or {}
        headers = {name: given[name] for name in _PASSED_ON if name in given}
        try:
            async with self._api.request(method, path, headers=headers) as response:
                answer = await response.json()
        except (ClientError, TimeoutError) as error:
            raise ToolError(f"The API is out of reach ({type(error).__name__})") from None
        if not response.ok:
            raise ToolError(f"{response.status}: {answer['detail']}")
        return answer
