"""Few files: those who only connect take none from calls, health and the database."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from audit_log.process.tls import client_context
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.certificates import LOOPBACK, key_pair_of
from tests.neighbours.client import connected
from tests.neighbours.corpus import request
from tests.neighbours.few_files import sidecar_with_files
from tests.neighbours.ops import degraded, metric, metric_becomes
from tests.neighbours.upstream import OK, never_responding, responding

FILES = 200
STRANGERS = 2 * FILES
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"
CLIENTS = FILES // 2 // 3


def open_files(sidecar):
    return len(list(Path(f"/proc/{sidecar.pid}/fd").iterdir()))


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHo"], ids=["nothing", "half a head"])
async def test_those_who_only_connect_take_nothing_from_calls_and_health(
    upstream, database, database_url, begun
):
    upstream.plan(responding(OK))
    secret = await prepare_audit_log(database)
    call = request(b"GET /api/v1/hosts/0/", b"Authorization: Bearer " + secret.encode())
    async with (
        sidecar_with_files(FILES, upstream.url, database_url) as sidecar,
        AsyncExitStack() as stack,
    ):
        kept = await stack.enter_async_context(connected(sidecar.port))
        assert (await kept.ask(call)).status == 200
        for port in (sidecar.port, sidecar.ops_port):
            for _ in range(STRANGERS):
                stranger = await stack.enter_async_context(connected(port))
                stranger.writer.write(begun)

        assert (await kept.ask(call)).status == 200
        async with connected(sidecar.port) as new:
            assert (await new.ask(call)).status == 200
        await degraded(sidecar, "the limit of")
        assert await arrived(database, 3)
        assert open_files(sidecar) < FILES
        assert await metric(sidecar, "oddities_total", kind="client_made_room") > 0


async def test_clients_whose_calls_are_in_flight_are_kept_and_more_are_refused(
    upstream, database_url
):
    upstream.plan(never_responding)
    async with (
        sidecar_with_files(FILES, upstream.url, database_url) as sidecar,
        AsyncExitStack() as stack,
    ):
        for _ in range(CLIENTS):
            client = await stack.enter_async_context(connected(sidecar.port))
            await client.send(request(b"GET /"))
            await upstream.entered()
        async with connected(sidecar.port) as refused:
            response = await refused.response()
        assert (response.status, response.values(b"Retry-After")) == (503, [b"1"])
        await metric_becomes(sidecar, 1, "oddities_total", kind="client_refused")


async def test_many_calls_in_flight_do_not_protect_those_who_only_connect(upstream, database_url):
    files = 600
    in_flight = 80
    upstream.plan(never_responding)
    async with (
        sidecar_with_files(files, upstream.url, database_url) as sidecar,
        AsyncExitStack() as stack,
    ):
        for _ in range(in_flight):
            client = await stack.enter_async_context(connected(sidecar.port))
            await client.send(request(b"GET /"))
            await upstream.entered()
        upstream.plan(responding(OK))
        kept = await stack.enter_async_context(connected(sidecar.port))
        assert (await kept.ask(request(b"GET /"))).status == 200
        for _ in range(files // 3):
            await stack.enter_async_context(connected(sidecar.port))

        async with connected(sidecar.port) as new:
            assert (await new.ask(request(b"GET /"))).status == 200
        assert (await kept.ask(request(b"GET /"))).status == 200


async def test_handshakes_that_do_not_end_take_nothing_from_calls_over_tls(
    upstream, database_url, tmp_path
):
    upstream.plan(responding(OK))
    pair = key_pair_of(LOOPBACK, tmp_path)
    tls = client_context(pair.certificate, None)
    files = {
        "PROXY_TLS_CERTIFICATE_FILE": str(pair.certificate),
        "PROXY_TLS_KEY_FILE": str(pair.key),
    }
    async with (
        sidecar_with_files(FILES, upstream.url, database_url, **files) as sidecar,
        AsyncExitStack() as stack,
    ):
        kept = await stack.enter_async_context(connected(sidecar.port, tls=tls))
        assert (await kept.ask(request(b"GET /"))).status == 200
        for number in range(STRANGERS):
            stranger = await stack.enter_async_context(connected(sidecar.port))
            stranger.writer.write(HALF_A_HELLO if number % 2 else b"")

        assert (await kept.ask(request(b"GET /"))).status == 200
        async with connected(sidecar.port, tls=tls) as new:
            assert (await new.ask(request(b"GET /"))).status == 200
        assert open_files(sidecar) < FILES
