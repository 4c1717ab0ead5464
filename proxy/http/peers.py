"""The network peer of a connection, and the client behind trusted proxies. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from audit_log.addresses import Network, client_behind, lies_in, read_address
from proxy.http.fields import Fields


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
        return cls(str(read), scheme, lies_in(read, trusted))


def client_address(peer: Peer, fields: Fields, trusted: Sequence[Network]) -> str:
    """Return the address of the client: of *peer*, or what trusted proxies say stood before them.

    `X-Forwarded-For`, or `Forwarded` (RFC 7239) where that is missing, is read from right to left,
    and only as long as the address that appended to it is trusted. Anything that is no address
    ends the reading.
    """
    if not peer.is_trusted:
        return peer.address
    said = [value.decode("latin-1") for value in fields.all(b"x-forwarded-for")]
    named = [value.decode("latin-1") for value in fields.all(b"forwarded")]
    return client_behind(peer.address, said, named, trusted)
