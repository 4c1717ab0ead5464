"""The network peer of a connection, and the client behind trusted proxies. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit_log.addresses import Address, Network, read_address
from proxy.http.fields import Fields

# Values as RFC 7239 section 4 has them; many proxies also leave out the quotes that it demands.
_PAIR: Final = re.compile(r"""\s*([\w-]+)=([^\s",;]+|"(?:[^"\\]|\\.)*")\s*(?:;|\Z)""", re.ASCII)
_MAX_COMMAS: Final = 8
"""Inside the quotes of one element of `Forwarded`."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The network peer of a client connection, as far as the header policy cares."""

    address: str
    scheme: str
    is_trusted: bool
    seen: bytes = field(init=False, repr=False, compare=False)
    """The lines of the X-Forwarded fields that say so, up to the value of X-Forwarded-Host."""

    def __post_init__(self) -> None:
        """Write the lines, once for all requests of a connection."""
        seen = (
            f"X-Forwarded-For: {self.address}\r\n"
            f"X-Forwarded-Proto: {self.scheme}\r\n"
            "X-Forwarded-Host: "
        )
        object.__setattr__(self, "seen", seen.encode())

    @classmethod
    def at(cls, address: str, scheme: str, trusted: Sequence[Network]) -> "Peer":
        """Return the peer at *address*, which is one of the proxies in *trusted* or is not."""
        read = read_address(address)
        return cls(str(read), scheme, _lies_in(read, trusted))


def client_address(peer: Peer, fields: Fields, trusted: Sequence[Network]) -> str:
    """Return the address of the client: of *peer*, or what trusted proxies say stood before them.

    `X-Forwarded-For`, or `Forwarded` (RFC 7239) where that is missing, is read from right to left,
    and only as long as the address that appended to it is trusted. Anything that is no address
    ends the reading.
    """
    if not peer.is_trusted:
        return peer.address
    nearest: Address | None = None
    for hop in _hops(fields):
        try:
            nearest = read_address(hop)
        except ValueError:
            break
        if not _lies_in(nearest, trusted):
            break
    return peer.address if nearest is None else str(nearest)


def _lies_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _hops(fields: Fields) -> Iterator[str]:
    """Yield whom each proxy saw before it, the nearest proxy first."""
    if said := fields.all(b"x-forwarded-for"):
        hops = b",".join(said).decode("latin-1").split(",")
        return (hop for hop in reversed(hops) if hop.strip())
    return _forwarded_for(b",".join(fields.all(b"forwarded")).decode("latin-1"))


def _forwarded_for(value: str) -> Iterator[str]:
    """Yield the `for` of each element of *value*, the last element first.

    An element is the shortest end of the rest that is well-formed. So a client that opens a quote
    cannot make what a proxy appended a part of its own element.
    """
    element = ""
    for part in reversed(value.split(",")):
        element = f"{part},{element}" if element else part
        pairs = _pairs(element)
        if pairs is None and element.count(",") < _MAX_COMMAS:
            continue
        if element.strip():
            if not pairs or "for" not in pairs:
                return
            yield pairs["for"]
        element = ""


def _pairs(element: str) -> dict[str, str] | None:
    """Return the parameters of *element*, names in lower case; None if it is malformed."""
    pairs: dict[str, str] = {}
    at = 0
    while at < len(element.rstrip()):
        found = _PAIR.match(element, at)
        if found is None or found[1].lower() in pairs:
            return None
        pairs[found[1].lower()] = found[2]
        at = found.end()
    return pairs
