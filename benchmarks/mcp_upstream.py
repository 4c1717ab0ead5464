"""`python -m benchmarks.mcp_upstream PORT`: an MCP server with one tool, which does nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from mcp.server.mcpserver import MCPServer

from benchmarks.process import CHECKOUT, CLIENT_CORE, free_port, listens, running

TOOL: Final = "echo"


def serve(port: int) -> None:
    """Serve on *port* of loopback until we are ended."""
    server = MCPServer("benchmark")

    @server.tool(name=TOOL)
    def echo(text: str) -> str:
        """Return *text*."""
        return text

    app = server.streamable_http_app(host="127.0.0.1")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


@contextmanager
def running_mcp_upstream(directory: Path) -> Iterator[str]:
    """Run the server with its files in *directory*; yield its origin."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.mcp_upstream", str(port)]
    environment = {"PYTHONPATH": str(CHECKOUT)}
    with running(
        command, core=CLIENT_CORE, directory=directory, environment=environment
    ) as process:
        process.wait_until(lambda: listens(port))
        yield f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    serve(int(sys.argv[1]))
