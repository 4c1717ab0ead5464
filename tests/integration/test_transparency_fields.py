"""What the sidecar does to header fields: the little that the corpus leaves out."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.neighbours.client import connected
from tests.neighbours.corpus import AUTHORITY, chunked, request, response
from tests.neighbours.messages import Message, field_name
from tests.neighbours.sidecar import Sidecar, serving_sidecar
from tests.neighbours.upstream import OK, Upstream, responding

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLAIMS = (
    *(b"X-Forwarded-For: 192.0.2.7", b"X-Forwarded-Proto: https"),
    *(b"X-Forwarded-Host: outside.test", b"Forwarded: for=192.0.2.7;proto=https"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trusting_sidecar(shared_upstream: Upstream) -> AsyncIterator[Sidecar]:
    async with serving_sidecar(
        shared_upstream.url, trusted_proxies="10.0.0.0/8, 127.0.0.1/32"
    ) as service:
        yield service


async def _forwarded(sidecar: Sidecar, upstream: Upstream, raw: bytes) -> Message:
    """Return what the upstream receives when *raw* is sent to the sidecar."""
    upstream.plan(responding(OK))
    async with connected(sidecar.port) as client:
        assert (await client.ask(raw)).status == 200
    return await (await upstream.entered()).read_body()


async def _relayed(sidecar: Sidecar, upstream: Upstream, raw: bytes) -> Message:
    """Return what the client receives when the upstream answers *raw*."""
    upstream.plan(responding(raw))
    async with connected(sidecar.port) as client:
        return await client.ask(request(b"GET /"))


@pytest.mark.parametrize(
    "fields",
    [
        (b"Connection: keep-alive", b"Keep-Alive: timeout=5"),
        (b"Keep-Alive: timeout=5",),
        (b"Proxy-Connection: keep-alive",),
        (b"Connection: X-Secret, TE", b"X-Secret: 1", b"TE: deflate"),
        (b"Connection: close", b"connection: x-secret", b"X-SECRET: 1"),
        (b"Connection: ,, X-Secret ,", b"X-Secret: 1"),
        (b"Upgrade: websocket",),
        (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
    ],
    ids=lambda fields: b" + ".join(fields).decode(),
)
async def test_hop_by_hop_fields_end_at_the_sidecar(
    fields: tuple[bytes, ...], shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    seen = await _forwarded(shared_sidecar, shared_upstream, request(b"GET /", *fields))
    names = {field_name(line) for line in seen.field_lines}
    assert not names & {field_name(line) for line in fields} - {b"connection"}
    assert seen.values(b"Connection") in ([], [b"keep-alive"])


async def test_te_keeps_trailers_alone(shared_sidecar: Sidecar, shared_upstream: Upstream) -> None:
    raw = request(b"GET /", b"TE: trailers, deflate;q=0.5", b"Connection: TE")
    seen = await _forwarded(shared_sidecar, shared_upstream, raw)
    assert seen.values(b"TE") == [b"trailers"]


@pytest.mark.parametrize("name", [b"Host", b"Content-Length"])
async def test_connection_cannot_remove_what_frames_the_request(
    name: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    raw = request(b"POST /", b"Connection: " + name, b"Content-Length: 4", body=b"body")
    seen = await _forwarded(shared_sidecar, shared_upstream, raw)
    assert seen.values(b"Host") == [AUTHORITY]
    assert seen.content == b"body"


async def test_trailers_of_a_request_are_dropped(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    body = chunked(b"body", trailers=b"X-Sum: 1\r\n")
    raw = request(b"POST /", b"Transfer-Encoding: chunked", b"Trailer: X-Sum", body=body)
    seen = await _forwarded(shared_sidecar, shared_upstream, raw)
    assert (seen.content, seen.trailers, seen.values(b"Trailer")) == (b"body", b"", [])


async def test_hop_by_hop_fields_of_an_answer_end_at_the_sidecar(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    hop = (b"Keep-Alive: timeout=5", b"Connection: X-Hop", b"X-Hop: 1", b"Upgrade: h2c")
    seen = await _relayed(shared_sidecar, shared_upstream, response(b"200 OK", *hop, b"X-End: 2"))
    assert seen.field_lines == [b"X-End: 2", b"Content-Length: 2"]


async def test_an_answer_gets_no_field_of_ours(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    assert (await _relayed(shared_sidecar, shared_upstream, OK)).head == OK.removesuffix(b"ok")


async def test_the_upstream_learns_who_the_client_is(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    seen = await _forwarded(shared_sidecar, shared_upstream, request(b"GET /"))
    assert _claims(seen) == ([b"127.0.0.1"], [b"http"], [AUTHORITY], [])


async def test_claims_of_an_untrusted_client_are_dropped(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    seen = await _forwarded(shared_sidecar, shared_upstream, request(b"GET /", *CLAIMS, *CLAIMS))
    assert _claims(seen) == ([b"127.0.0.1"], [b"http"], [AUTHORITY], [])


async def test_claims_of_a_trusted_proxy_are_kept_and_its_address_is_appended(
    trusting_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    seen = await _forwarded(trusting_sidecar, shared_upstream, request(b"GET /", *CLAIMS))
    assert _claims(seen) == (
        [b"192.0.2.7, 127.0.0.1"],
        [b"https"],
        [b"outside.test"],
        [b"for=192.0.2.7;proto=https"],
    )


async def test_repeated_claims_of_a_trusted_proxy_become_one_list(
    trusting_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    raw = request(b"GET /", b"X-Forwarded-For: 192.0.2.7, 10.0.0.1", b"x-forwarded-for: 10.0.0.2")
    seen = await _forwarded(trusting_sidecar, shared_upstream, raw)
    assert seen.values(b"X-Forwarded-For") == [b"192.0.2.7, 10.0.0.1, 10.0.0.2, 127.0.0.1"]


async def test_a_trusted_proxy_that_claims_nothing_is_described_like_any_client(
    trusting_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    seen = await _forwarded(trusting_sidecar, shared_upstream, request(b"GET /"))
    assert _claims(seen) == ([b"127.0.0.1"], [b"http"], [AUTHORITY], [])


def _claims(seen: Message) -> tuple[list[bytes], ...]:
    return (
        seen.values(b"X-Forwarded-For"),
        seen.values(b"X-Forwarded-Proto"),
        seen.values(b"X-Forwarded-Host"),
        seen.values(b"Forwarded"),
    )
