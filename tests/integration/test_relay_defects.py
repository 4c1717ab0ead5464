"""A defect on the way of a request costs that request, and leaves no client waiting."""

import asyncio
from collections import Counter
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from proxy.admission import Call
from proxy.audit.exchange import UnauditedExchange
from proxy.audit.tally import Tally
from proxy.http.forwarding import request_lines
from proxy.relay.client_limit import ClientLimit
from proxy.relay.plan import Service
from proxy.relay.routes import Routes
from proxy.relay.server import RelayServer
from proxy.relay.upstream_pool import Upstream, UpstreamLimits
from tests.neighbours.client import connected
from tests.neighbours.corpus import request
from tests.neighbours.sidecar import serving_sidecar

LIMITS = UpstreamLimits(connect_timeout_seconds=5, response_timeout_seconds=5, idle_seconds=5)
IMPOSSIBLE = f"http://{'a' * 64}.example:80"
"""A label may have 63 characters: looking the name up is a UnicodeError."""


class Defective:
    """An admission whose look-ups fail for a reason that no module lists."""

    def __init__(self) -> None:
        self.tally = Tally()

    def recognise(self, head, peer):
        return Call(head, peer.address)

    def decide(self, _call):
        exchange = UnauditedExchange(self.tally)
        exchange.identification = self.fail
        return exchange

    async def fail(self):
        raise LookupError("a defect")


@pytest.fixture
async def port(upstream):
    """The port of a relay with a defect."""
    with closing(Upstream(upstream.url, LIMITS, None)) as pool:
        service = Service(Defective(), Routes(pool, None), request_lines, 5)
        relay = RelayServer(service, ClientLimit(9, Counter()), idle_seconds=60)
        async with await asyncio.get_running_loop().create_server(relay, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
        relay.pre_shutdown()


async def test_a_look_up_that_fails_for_a_defect_ends_its_connection_and_says_so(port):
    with capture_logs() as log:
        async with connected(port) as client:
            await client.send(request(b"GET /"))
            assert await client.read_to_the_end() == b""
    assert [event["event"] for event in log] == ["request.failed"]
    assert "a defect" in log[0]["error"]
    assert log[0]["where"].startswith(__file__)


async def test_an_upstream_whose_name_cannot_be_looked_up_is_unreachable():
    async with serving_sidecar(IMPOSSIBLE) as sidecar, connected(sidecar.port) as client:
        assert (await client.ask(request(b"GET /"))).status == 502
