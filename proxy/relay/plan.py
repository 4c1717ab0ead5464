"""What is to be done with a request, as its head alone tells. Made once per distinct head."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from audit_log.addresses import Network
from proxy.admission import Call
from proxy.audit.exchange import Exchange
from proxy.http.fields import Fields, with_field
from proxy.http.peers import Peer
from proxy.http.request import RequestHead
from proxy.relay.routes import Routes
from proxy.relay.upstream_pool import Upstream

HeaderPolicy = Callable[[Fields, Peer], bytes]
"""The lines of fields that go upstream, each with its CRLF."""


class Admits(Protocol):
    """What decides on a request: the admission of the API, or of the Hub."""

    def recognise(self, head: RequestHead, peer: Peer) -> Call:
        """Return what *head* alone tells of its call; that is the same when it repeats."""

    def decide(self, call: Call) -> Exchange:
        """Return the exchange of *call*. Raises RefusedError, after recording it."""


class Plan:
    """A request's head, its call, the upstream that responds, and the fields that go there.

    No struct, for the reason that `RequestHead` is none.
    """

    def __init__(self, head: RequestHead, call: Call, upstream: Upstream, lines: bytes) -> None:
        self.head: Final = head
        self.call: Final = call
        self.upstream: Final = upstream
        self.lines: Final = lines

    def wire(self, added: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the head as it goes upstream, with the fields *added* to its own."""
        lines = self.lines
        for name, value in added:
            lines = with_field(lines, name, value)
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (self.head.method, self.head.target, lines)


class Service:
    """What becomes of the requests of one port."""

    def __init__(
        self,
        admission: Admits,
        routes: Routes,
        policy: HeaderPolicy,
        body_patience_seconds: float,
        trusted: Sequence[Network] = (),
    ) -> None:
        """A client may be silent for *body_patience_seconds* in the middle of a body.

        What proxies in *trusted* say of the client is believed.
        """
        self.admission: Final = admission
        self.routes: Final = routes
        self.policy: Final = policy
        self.body_patience_seconds: Final = body_patience_seconds
        self.trusted: Final = trusted

    def plan(self, head: RequestHead, peer: Peer) -> Plan:
        """Return what is to be done with *head*, sent by *peer*."""
        return Plan(
            head,
            self.admission.recognise(head, peer),
            self.routes.upstream_of(head.target),
            self.policy(head.fields, peer),
        )
