"""IP addresses and networks as proxies, people and the kernel write them. Pure."""

import re
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
