"""The shapes of the Hub's messages. Pure.

The wire format of the tunnel is not documented. A message is taken for JSON-RPC 2.0 if it says so
itself, either bare or inside an envelope (`{"type": …, "payload": {"jsonrpc": "2.0", …}}`). All
other messages are ignored.
"""

from typing import Final

from proxy.mcp.json_stream import ANY, Path, Values
from proxy.mcp.lasting.task_messages import TASK_NEWS_PATHS
from proxy.mcp.messages import REQUEST_PATHS, RESPONSE_PATHS

_VERSION: Final[Path] = ("jsonrpc",)
_BARE: Final = REQUEST_PATHS | RESPONSE_PATHS | TASK_NEWS_PATHS | {_VERSION}


def wanted_paths(
    envelope_field: str | None, claims: frozenset[Path] = frozenset()
) -> frozenset[Path]:
    """Return the paths to look for in a message, those of *claims* too.

    *envelope_field* names the field of the envelope that holds the message; None allows any field.
    """
    bare = _BARE | claims
    return bare | {(envelope_field or ANY, *path) for path in bare}


def unwrapped(values: Values) -> Values | None:
    """Return the JSON-RPC message in *values*, without its envelope; None if there is none."""
    if values.get(_VERSION) == "2.0":
        return values
    for path, value in values.items():
        if path[1:] == _VERSION and value == "2.0":
            return {inner[1:]: said for inner, said in values.items() if inner[0] == path[0]}
    return None
