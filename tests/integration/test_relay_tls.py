"""An upstream over https is verified before it is told anything."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from audit_log.postgres.database import Database
from audit_log.postgres.token_table import TokenTable
from audit_log.record import Outcome
from tests.neighbours.certificates import LOOPBACK, key_pair_of, self_signed, trusting
from tests.neighbours.client import Client, connected
from tests.neighbours.corpus import request, sized
from tests.neighbours.readable_store import ReadableStore
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.trail import recorded
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
        assert (await client.response()).head == accepted
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


SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nas far as it goes"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11\r\nas far as it goes\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nas far as it goes"


def until_close(*, ends_well: bool) -> Behaviour:
    """Answer with a body that ends with the connection: by a close_notify, or cut off."""

    async def behave(call: Call) -> None:
        await call.read_body()
        await call.send(UNTIL_CLOSE)
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
            assert (await client.response()).content == b"as far as it goes"
        else:
            with pytest.raises(ConnectionResetError):
                await client.reader.read(-1)


def cut_off_after(raw: bytes) -> Behaviour:
    """Send *raw* and end the connection without a close_notify."""

    async def behave(call: Call) -> None:
        await call.read_body()
        await call.send(raw)
        call.writer.transport.abort()

    return behave


async def sees_a_cut(client: Client) -> bool:
    """Say whether the next response is cut off; one until close is, by a reset alone."""
    try:
        return not (await client.response()).complete
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("client_tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(
    "raw", [UNTIL_CLOSE, SIZED, CHUNKED], ids=["until close", "sized", "chunked"]
)
async def test_a_response_cut_off_over_tls_is_cut_for_the_client_and_recorded_as_broken_off(
    secure_upstream: Upstream,
    certificate: tuple[ssl.SSLContext, Path],
    database: Database,
    database_url: str,
    store: ReadableStore,
    tmp_path: Path,
    raw: bytes,
    *,
    client_tls: bool,
) -> None:
    secure_upstream.plan(cut_off_after(raw))
    _, secret = await TokenTable(database).create("laptop", "operator", 90)
    (tmp_path / "own").mkdir()
    pair = key_pair_of(LOOPBACK, tmp_path / "own")
    settings = {"tls_certificate_file": pair.certificate, "tls_key_file": pair.key}
    async with (
        serving_sidecar(
            secure_upstream.url,
            database_url,
            upstream_ca_file=certificate[1],
            **(settings if client_tls else {}),
        ) as sidecar,
        connected(sidecar.port, tls=trusting(pair) if client_tls else None) as client,
    ):
        await client.send(
            request(b"GET /api/v1/hosts", b"Authorization: Bearer " + secret.encode())
        )
        assert await sees_a_cut(client)
        [record] = await recorded(store, 1)
    assert (record.status_code, record.outcome) == (200, Outcome.UPSTREAM_BROKE_OFF)
