"""The clients and bridges that are played: what runs each, and the server it is played against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.clients.environments import MODULES, NODE, PLAYED, python

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Server:
    """A server of one SDK, with the tools that all of them have."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """A client. In `command` and `environment` stand `{url}`, `{token}` and `{tool}`."""

    name: str
    server: Server
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def _python(environment: str, player: str) -> tuple[str, ...]:
    return (str(python(environment)), str(_HERE / "players" / f"{player}.py"))


def _node(player: str) -> tuple[str, ...]:
    return (str(NODE), str(PLAYED / "players" / f"{player}.mjs"))


def _on_python(environment: str) -> Server:
    tools = _HERE / "servers" / f"{environment}_tools.py"
    return Server((str(python(environment)), str(tools)))


def _on_node(name: str) -> Server:
    return Server((str(NODE), str(PLAYED / "servers" / f"{name}_tools.mjs")))


_PYTHON_2: Final = _on_python("python_2")
_PYTHON_1: Final = _on_python("python_1")
_FASTMCP: Final = _on_python("fastmcp")
_TYPESCRIPT_1: Final = _on_node("typescript_1")
_TYPESCRIPT_2: Final = _on_node("typescript_2")


def _era(era: str) -> Mapping[str, str]:
    return MappingProxyType({"ERA": era})


def _bridge(*command: str) -> Mapping[str, str]:
    return MappingProxyType({"BRIDGE": " ".join(command)})


_BEARER: Final = "'Authorization: Bearer {token}'"
_MCP_REMOTE: Final = str(MODULES / "mcp-remote" / "dist" / "proxy.js")
_SUPERGATEWAY: Final = str(MODULES / "supergateway" / "dist" / "index.js")
_INSPECTOR: Final = MODULES / "@modelcontextprotocol" / "inspector" / "clients" / "launcher"
_INSPECT: Final = ("--cli", "{url}", "--transport", "http", "--method", "tools/call")
_MCP_PROXY: Final = str(python("python_1").with_name("mcp-proxy"))

CLIENTS: Final = (
    Client("mcp-2.3.0", _PYTHON_2, _python("python_2", "python_2"), _era("2026-07-28")),
    Client("mcp-2.3.0-legacy", _PYTHON_2, _python("python_2", "python_2"), _era("legacy")),
    Client("mcp-1.30.0", _PYTHON_1, _python("python_1", "python_1")),
    Client("typescript-2.4.0", _TYPESCRIPT_2, _node("typescript_2")),
    Client("typescript-1.32.2", _TYPESCRIPT_1, _node("typescript_1")),
    Client("fastmcp-4.2.3", _PYTHON_2, _python("python_2", "fastmcp_4")),
    Client("fastmcp-tasks-4.1.4", _FASTMCP, _python("fastmcp", "fastmcp_4")),
    Client("mcp-use-1.7.1", _PYTHON_1, _python("python_1", "mcp_use_1")),
    Client("langchain-mcp-0.3.2", _PYTHON_1, _python("python_1", "langchain_mcp")),
    Client("ai-sdk-mcp-2.0.99", _TYPESCRIPT_1, _node("ai_sdk")),
    Client(
        "inspector-2.12.0",
        _TYPESCRIPT_2,
        (
            *(str(NODE), str(_INSPECTOR / "build" / "index.js"), *_INSPECT),
            *("--tool-name", "{tool}", "--header", "Authorization: Bearer {token}"),
        ),
    ),
    Client(
        "mcp-remote-0.15.1",
        _TYPESCRIPT_1,
        _python("python_1", "python_1"),
        _bridge(str(NODE), _MCP_REMOTE, "{url}", "--allow-http", "--header", _BEARER),
    ),
    Client(
        "supergateway-4.0.0",
        _TYPESCRIPT_1,
        _python("python_1", "python_1"),
        _bridge(
            *(str(NODE), _SUPERGATEWAY, "--streamableHttp", "{url}", "--header", _BEARER),
            *("--logLevel", "none"),
        ),
    ),
    Client(
        "mcp-proxy-0.13.0",
        _PYTHON_1,
        _python("python_1", "python_1"),
        _bridge(
            *(_MCP_PROXY, "--transport", "streamablehttp", "-H", "Authorization"),
            *("'Bearer {token}'", "{url}"),
        ),
    ),
)
