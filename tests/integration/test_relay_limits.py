"""What is too large for a head is refused with the code that says so; the rest has no limit."""

import hashlib

import pytest

from tests.neighbours.client import connected
from tests.neighbours.corpus import request, response
from tests.neighbours.messages import Message
from tests.neighbours.sidecar import Sidecar
from tests.neighbours.upstream import OK, Call, Upstream, responding

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEBIBYTE = 2**20


async def _answer(sidecar: Sidecar, raw: bytes) -> Message:
    async with connected(sidecar.port) as client:
        # The sidecar may answer and close before it has taken all of it.
        client.writer.write(raw)
        return await client.response()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request(b"GET /" + b"p" * MEBIBYTE), 414),
        (request(b"GET /", b"X-Long: " + b"v" * MEBIBYTE), 431),
        (request(b"GET /", *[b"X-A: 1"] * 100_000), 431),
        (b"GET /" + b"p" * MEBIBYTE, 414),
        (b"GET / HTTP/1.1\r\nX-Endless: " + b"v" * MEBIBYTE, 431),
        (b"M" * MEBIBYTE, 400),
    ],
    ids=["target", "field", "many fields", "endless target", "endless field", "endless method"],
)
async def test_a_head_that_is_too_large_is_refused_by_name(
    raw: bytes, status: int, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    seen = await _answer(shared_sidecar, raw)
    assert (seen.status, isinstance(seen.detail, str)) == (status, True)
    assert shared_upstream.calls == []


async def test_a_path_of_64_kilobytes_gets_a_clear_answer(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    seen = await _answer(shared_sidecar, request(b"GET /" + b"p" * 65_536))
    assert seen.status == 414
    assert isinstance(seen.detail, str)


async def test_a_token_of_100_kilobytes_gets_a_clear_answer(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    token = b"Authorization: Bearer pwm_" + b"t" * 100_000
    seen = await _answer(shared_sidecar, request(b"GET /api/v1/hosts", token))
    assert seen.status == 431
    assert isinstance(seen.detail, str)
    assert shared_upstream.calls == []


@pytest.mark.parametrize("first", [b"Bearer pwm_a", b"Bearer other", b"Basic eDp5"])
async def test_several_authorizations_on_an_audited_path_are_refused(
    first: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    # Which of them the API would believe, nobody can know.
    shared_upstream.plan(responding(OK))
    fields = (b"Authorization: " + first, b"authorization: Bearer pwm_b")
    seen = await _answer(shared_sidecar, request(b"GET /api/v1/hosts", *fields))
    assert (seen.status, isinstance(seen.detail, str)) == (400, True)
    assert shared_upstream.calls == []


async def test_several_authorizations_that_are_none_of_ours_pass(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    fields = (b"Authorization: Basic eDp5", b"Authorization: Bearer other")
    assert (await _answer(shared_sidecar, request(b"GET /api/v1", *fields))).status == 200
    seen = (await shared_upstream.entered()).request
    assert seen.values(b"Authorization") == [b"Basic eDp5", b"Bearer other"]


@pytest.mark.parametrize(
    "value",
    [
        *(b"BEARER\tpwm_a", b"pwm_a", b"Basic pwm_a", b"Bearer=pwm_a", b'Bearer "pwm_a"'),
        *(b"Bearer pwm_\xff\xfe", b"Bearer pwm_a pwm_b", b"Bearer pwm_a,pwm_b", b"Bearerpwm_a"),
    ],
)
async def test_an_authorization_that_only_contains_our_prefix_is_refused(
    value: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    raw = request(b"GET /api/v1/hosts", b"Authorization: " + value)
    seen = await _answer(shared_sidecar, raw)
    assert (seen.status, isinstance(seen.detail, str)) == (400, True)
    assert shared_upstream.calls == []


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"Bearer", b"Bearer ", b"Bearer pwc_a", b"Bearer eyJh.e30.pwm_"),
        *(b"Bearer  pwm_a", b"bearer pwm_a", b"Bearer pwm_"),
    ],
)
async def test_odd_authorizations_reach_the_upstream_while_nobody_can_judge_them(
    value: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    raw = request(b"GET /api/v1/hosts", b"Authorization: " + value)
    assert (await _answer(shared_sidecar, raw)).status == 200
    seen = (await shared_upstream.entered()).request
    assert seen.values(b"Authorization") == [value.strip()]


async def test_bodies_have_no_limit(shared_sidecar: Sidecar, shared_upstream: Upstream) -> None:
    size = 64 * MEBIBYTE

    async def digest(call: Call) -> None:
        seen = hashlib.sha256()
        left = size
        while left:
            data = await call.reader.read(min(left, MEBIBYTE))
            left -= len(data)
            seen.update(data)
        await call.send(response(b"200 OK", body=seen.hexdigest().encode()))

    shared_upstream.plan(digest)
    piece = bytes(range(256)) * 4096
    sent = hashlib.sha256()
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"PUT /", b"Content-Length: %d" % size))
        for _ in range(size // len(piece)):
            await client.send(piece)
            sent.update(piece)
        assert (await client.response()).content == sent.hexdigest().encode()
