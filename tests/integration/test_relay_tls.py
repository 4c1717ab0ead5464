"""An upstream over https is verified before it is told anything."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from tests.neighbours.certificates import LOOPBACK, self_signed
from tests.neighbours.client import Client, connected
from tests.neighbours.corpus import request, sized
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.upstream import (
    Behaviour,
    Call,
    Upstream,
    running_upstream,
    switching_to_echo,
)

ELSEWHERE = x509.DNSName("elsewhere.test")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    return self_signed(LOOPBACK, tmp_path)


@pytest.fixture
async def secure_upstream(
    certificate: tuple[ssl.SSLContext, Path],
) -> AsyncIterator[Upstream]:
    async with running_upstream(tls=certificate[0]) as upstream:
        yield upstream


@asynccontextmanager
async def tunnel(upstream: Upstream, trusted: Path) -> AsyncIterator[Client]:
    """Be a client that has changed protocols with *upstream*, which echoes, over TLS."""
    accepted = b"HTTP/1.1 101 Frobbing\r\nUpgrade: frob\r\nConnection: Upgrade\r\n\r\n"
    upstream.plan(switching_to_echo(accepted))
    async with (
        serving_sidecar(upstream.url, upstream_ca_file=trusted) as sidecar,
        connected(sidecar.port) as client,
    ):
        await client.send(request(b"GET /", b"Connection: Upgrade", b"Upgrade: frob"))
        assert (await client.answer()).head == accepted
        yield client


async def test_an_upstream_with_an_unknown_certificate_is_502_and_told_nothing(
    secure_upstream: Upstream,
) -> None:
    async with serving_sidecar(secure_upstream.url) as sidecar, connected(sidecar.port) as client:
        seen = await client.ask(request(b"GET /", b"Authorization: Bearer secret"))
    assert seen.status == 502
    assert isinstance(seen.detail, str)
    assert secure_upstream.calls == []


async def test_the_operator_may_say_whom_to_trust(
    secure_upstream: Upstream, certificate: tuple[ssl.SSLContext, Path]
) -> None:
    async with (
        serving_sidecar(secure_upstream.url, upstream_ca_file=certificate[1]) as sidecar,
        connected(sidecar.port) as client,
    ):
        body = b"x" * 2**20
        for _ in range(3):
            assert (await client.ask(sized(b"POST /", body))).content == b"ok"
        assert secure_upstream.calls[-1].request.content == body
        assert len(secure_upstream.connections) == 1


async def test_an_upgrade_passes_over_tls(
    secure_upstream: Upstream, certificate: tuple[ssl.SSLContext, Path]
) -> None:
    async with tunnel(secure_upstream, certificate[1]) as client:
        await client.send(b"echo")
        assert await client.read_exactly(4) == b"echo"
        client.writer.close()
        # TLS cannot end one direction alone, so the end of one must end both.
        await (await secure_upstream.entered()).gone()


async def test_a_client_that_ends_its_half_of_a_tunnel_over_tls_ends_both_halves(
    secure_upstream: Upstream, certificate: tuple[ssl.SSLContext, Path]
) -> None:
    async with tunnel(secure_upstream, certificate[1]) as client:
        client.end_sending()
        assert await client.read_to_the_end() == b""


async def test_a_certificate_for_another_name_is_502(tmp_path: Path) -> None:
    context, trusted = self_signed(ELSEWHERE, tmp_path)
    async with (
        running_upstream(tls=context) as upstream,
        serving_sidecar(upstream.url, upstream_ca_file=trusted) as sidecar,
        connected(sidecar.port) as client,
    ):
        assert (await client.ask(request(b"GET /"))).status == 502
        assert upstream.calls == []


def until_close(*, ends_well: bool) -> Behaviour:
    """Answer with a body that ends with the connection: by a close_notify, or cut off."""

    async def behave(call: Call) -> None:
        await call.read_body()
        await call.send(b"HTTP/1.1 200 OK\r\n\r\nas far as it goes")
        if ends_well:
            call.close()
        else:
            call.writer.transport.abort()

    return behave


@pytest.mark.parametrize("ends_well", [True, False])
async def test_a_body_until_close_is_complete_only_with_a_close_notify(
    secure_upstream: Upstream,
    certificate: tuple[ssl.SSLContext, Path],
    *,
    ends_well: bool,
) -> None:
    secure_upstream.plan(until_close(ends_well=ends_well))
    async with (
        serving_sidecar(secure_upstream.url, upstream_ca_file=certificate[1]) as sidecar,
        connected(sidecar.port) as client,
    ):
        await client.send(request(b"GET /"))
        if ends_well:
            assert (await client.answer()).content == b"as far as it goes"
        else:
            with pytest.raises(ConnectionResetError):
                await client.reader.read(-1)
