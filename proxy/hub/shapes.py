"""Which shapes the Hub's messages may have. Pure; the only place that knows.

The wire format of the tunnel is not documented. We take a message for JSON-RPC 2.0 when it says
so itself, bare or inside an object (`{"type": …, "payload": {"jsonrpc": "2.0", …}}`), and pass
over everything else.
"""

from typing import Final

from proxy.mcp.json_stream import ANY, Path, Values
from proxy.mcp.messages import REQUEST_PATHS, RESPONSE_PATHS

_VERSION: Final[Path] = ("jsonrpc",)
_BARE: Final = REQUEST_PATHS | RESPONSE_PATHS | {_VERSION}


def wanted_paths(envelope_field: str | None) -> frozenset[Path]:
    """Return what to look for; *envelope_field* names the field of the envelope, None any."""
    return _BARE | {(envelope_field or ANY, *path) for path in _BARE}


def unwrapped(values: Values) -> Values | None:
    """Return the JSON-RPC message in *values*, bare or out of its envelope; None if none is."""
    if values.get(_VERSION) == "2.0":
        return values
    for path, value in values.items():
        if path[1:] == _VERSION and value == "2.0":
            return {inner[1:]: said for inner, said in values.items() if inner[0] == path[0]}
    return None
