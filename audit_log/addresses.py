"""IP addresses and networks as proxies, people and the kernel write them. Pure."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# RFC 7239 section 6: the port may be obfuscated.
_PORT: Final = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_WITH_PORT: Final = re.compile(rf"(?:\[([^\[\]]+)\]|([0-9.]+)){_PORT}")
# Values as RFC 7239 section 4 has them; many proxies also leave out the quotes that it demands.
_PAIR: Final = re.compile(r"""\s*([\w-]+)=([^\s",;]+|"(?:[^"\\]|\\.)*")\s*(?:;|\Z)""", re.ASCII)
_MAX_COMMAS: Final = 8
"""Inside the quotes of one element of `Forwarded`."""
_MAPPED_BITS: Final = 96
"""The prefix of IPv4 inside IPv6, `::ffff:0:0/96` (RFC 4291 section 2.5.5.2)."""


def read_address(text: str) -> Address:
    """Return the address in *text*; raise ValueError if there is none.

    It may be quoted, and have brackets, a port or a zone: `"[2001:db8::7]:443"`,
    `192.0.2.7:41822`, `fe80::1%eth0`. The zone is left out: it has a meaning on one host alone.
    IPv4 inside IPv6 (`::ffff:192.0.2.7`) is IPv4.
    """
    written = text.strip()
    if written[:1] == '"' == written[-1:]:
        written = written[1:-1]
    if found := _WITH_PORT.fullmatch(written):
        written = found[1] or found[2]
    address = ip_address(written.partition("%")[0])
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def read_network(text: str) -> Network:
    """Return the network in *text*, CIDR notation or an address; raise ValueError if none is.

    Host bits may be set. IPv4 inside IPv6 (`::ffff:10.0.0.0/104`) is IPv4.
    """
    if "/" not in text:
        return ip_network(read_address(text))
    network = ip_network(text.strip(), strict=False)
    if isinstance(network, IPv4Network):
        return network
    if network.network_address.scope_id is not None:
        raise ValueError("a network has no zone")
    mapped = network.network_address.ipv4_mapped
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


def read_networks(value: object) -> object:
    """Return the networks in *value*, text with commas or a sequence; ValueError for any other."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    each = value if isinstance(value, (list, tuple)) else (value,)
    try:
        return tuple(read_network(str(network)) for network in each)
    except ValueError:
        raise ValueError("must be networks such as 10.0.0.0/8, comma separated") from None


def lies_in(address: Address, networks: Sequence[Network]) -> bool:
    """Say whether *address* is in one of *networks*."""
    return any(address in network for network in networks)


def client_behind(
    peer: str, said: Sequence[str], named: Sequence[str], trusted: Sequence[Network]
) -> str:
    """Return the address of the client behind *peer*, a trusted proxy; *peer* if it says nothing.

    The values *said* of `X-Forwarded-For`, or *named* of `Forwarded` (RFC 7239) where that is
    missing, are read from right to left, and only as long as the address that appended to them is
    *trusted*. Anything that is no address ends the reading.
    """
    nearest: Address | None = None
    for hop in _hops(said, named):
        try:
            nearest = read_address(hop)
        except ValueError:
            break
        if not lies_in(nearest, trusted):
            break
    return peer if nearest is None else str(nearest)


def _hops(said: Sequence[str], named: Sequence[str]) -> Iterator[str]:
    """Yield whom each proxy saw before it, the nearest proxy first."""
    if said:
        return (hop for hop in reversed(",".join(said).split(",")) if hop.strip())
    return _forwarded_for(",".join(named))


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
