"""Claims: fields of `_meta` that the operator has named, with what the client says. Pure."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final

import msgspec

from audit_log.record import Claim
from proxy.http.target import printable
from proxy.mcp.json_stream import Path, Scalar, Values

MAX_CLAIMS: Final = 8
MAX_CLAIM_NAME_CHARACTERS: Final = 64
MAX_CLAIM_CHARACTERS: Final = 128
MAX_CLAIM_BYTES: Final = 768
"""Of all claims of a tool call, as JSON: with them it must fit into a slot of the journal."""
_LARGEST: Final = 2**53
"""JSON parsers round larger numbers (RFC 8259, section 6)."""


class Claims:
    """Reads the claims of tool calls."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        """Read the fields of `_meta` with these *names*, the most important first."""
        self._paths = {name: ("params", "_meta", name) for name in names}

    @property
    def paths(self) -> frozenset[Path]:
        """Where the claims are in a request."""
        return frozenset(self._paths.values())

    def of(self, values: Values) -> Mapping[str, Claim] | None:
        """Return the claims in a message, None without any: texts and numbers.

        What is longer than the limits is cut; what then finds no room is left out.
        """
        claims: dict[str, Claim] = {}
        for name, path in self._paths.items():
            claim = _claim(values.get(path))
            if claim is not None and _size({**claims, name: claim}) <= MAX_CLAIM_BYTES:
                claims[name] = claim
        return claims or None


NO_CLAIMS: Final = Claims()


def _claim(value: Scalar) -> Claim | None:
    # A container is read as True: it is no claim, and nor is true.
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        text = value[:MAX_CLAIM_CHARACTERS].encode("utf-8", "surrogatepass")
        return printable(text)[:MAX_CLAIM_CHARACTERS]
    return value if isfinite(value) and abs(value) < _LARGEST else None


def _size(claims: Mapping[str, Claim]) -> int:
    return len(msgspec.json.encode(claims))
