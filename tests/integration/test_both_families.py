"""`::` takes clients of both families, and an IPv4 client has the same address in the records."""

import socket

import pytest
from aiohttp import ClientSession, web

from audit_log.postgres.token_table import TokenTable
from audit_log.process.sockets import Address, CannotListenError, listening
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.trail import recorded
from tests.neighbours.upstream import OK, responding

LOOPBACKS = ["127.0.0.1", "[::1]"]


async def _hello(_request):
    return web.Response(text="hello")


@pytest.fixture
def runner():
    app = web.Application()
    app.router.add_get("/", _hello)
    return web.AppRunner(app)


@pytest.mark.parametrize("host", ["::", "0:0::0"])
@pytest.mark.parametrize("is_shared", [False, True])
async def test_the_unspecified_address_of_ipv6_is_that_of_ipv4_too(runner, host, is_shared):
    wanted = Address(host, 0)
    async with listening(runner, wanted, "HOST", is_shared=is_shared) as address:
        async with ClientSession() as client:
            for loopback in LOOPBACKS:
                async with client.get(f"http://{loopback}:{address.port}/") as response:
                    assert await response.text() == "hello"
        assert address.host == "::"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", address.port))


async def test_one_address_of_ipv6_is_that_one_alone(runner):
    async with listening(runner, Address("::1", 0), "HOST") as address:
        assert address.host == "::1"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", address.port))


async def test_a_port_that_is_taken_in_one_family_is_told(runner):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            CannotListenError,
            match=rf"(?i)cannot listen on :: port {port}: address already in use$",
        ):
            async with listening(runner, Address("::", port), "HOST"):
                pass


async def test_each_port_of_a_sidecar_takes_both_families(upstream, database_url, database, store):
    _, secret = await TokenTable(database).create("laptop", "operator", 90)
    upstream.plan(responding(OK))
    everywhere = {"host": "[::]", "ops_host": "::", "hub_host": "::"}
    async with (
        serving_sidecar(
            upstream.url, database_url, **everywhere, hub_url=upstream.url, hub_port=0
        ) as sidecar,
        ClientSession(headers={"Authorization": f"Bearer {secret}"}) as client,
    ):
        for loopback in LOOPBACKS:
            for port in (sidecar.port, sidecar.ops_port, sidecar.hub_port):
                async with client.get(f"http://{loopback}:{port}/api/v1/hosts") as response:
                    assert response.status in {200, 404}

        records = await recorded(store, 2)
    assert {record.client_ip for record in records} == {"127.0.0.1", "::1"}
