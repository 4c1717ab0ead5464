"""The network peer of a connection, and the client behind trusted proxies. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from proxy.http.fields import Fields

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Peer:
    """The network peer of a client connection, as far as the header policy cares."""

    address: str
    scheme: str
    is_trusted: bool


def client_address(peer: str, fields: Fields, trusted: Sequence[Network]) -> str:
    """Return the address of the client: *peer*, or what trusted proxies say stood before them.

    `X-Forwarded-For` is read from right to left, and only as long as the address that
    appended to it is trusted. Anything that is no address ends the reading.
    """
    if not is_trusted(peer, trusted):
        return peer
    said = b",".join(fields.all(b"x-forwarded-for"))
    address = peer
    for hop in reversed(said.decode("latin-1").split(",")):
        try:
            address = str(ip_address(hop.strip().partition("%")[0]))
        except ValueError:
            break
        if not is_trusted(address, trusted):
            break
    return address


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Say whether *address* belongs to one of the trusted proxies."""
    if not trusted:
        return False
    parsed = ip_address(address)
    return any(parsed in network for network in trusted)
