"""Requests to the MCP server, as bytes."""

import json
from typing import Any, Final

OK: Final = b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'
MODERN: Final = (b"MCP-Protocol-Version: 2026-07-28", b"Mcp-Method: tools/call")
HEADERS: Final = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}
INITIALIZE: Final = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def body_calling(tool: str, rpc_id: Any = 1, **params: Any) -> bytes:
    """Return the JSON-RPC request that calls *tool*."""
    params = {"name": tool, **params}
    call = {"jsonrpc": "2.0", "id": rpc_id, "method": "tools/call", "params": params}
    return json.dumps(call).encode()


def head_posting(secret: str, length: int, *fields: bytes) -> bytes:
    """Return the head of a request to the MCP server with a body of *length* bytes."""
    lines = [
        *(b"POST /mcp HTTP/1.1", b"Host: podwarden"),
        *(b"Authorization: Bearer " + secret.encode(), b"Content-Length: %d" % length),
        *fields,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def posting(secret: str, body: bytes, *fields: bytes) -> bytes:
    """Return a request to the MCP server."""
    return head_posting(secret, len(body), *fields) + body


def response(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a response with *body*."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
