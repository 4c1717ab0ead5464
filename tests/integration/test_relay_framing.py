"""A request that two readers could understand differently is refused and never forwarded."""

import pytest

from tests.neighbours.client import connected
from tests.neighbours.corpus import AUTHORITY, chunked, request, sized
from tests.neighbours.messages import Message
from tests.neighbours.sidecar import Sidecar
from tests.neighbours.upstream import OK, Upstream, responding

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHUNKED = b"Transfer-Encoding: chunked"
HOST = b"Host: " + AUTHORITY
START = b"POST /refused HTTP/1.1\r\n" + HOST + b"\r\n"
SMUGGLED = request(b"GET /smuggled")

REFUSED = {
    # RFC 9112, 6.3: a request with both is likely an attack.
    "length and chunks": request(
        b"POST /", b"Content-Length: 5", CHUNKED, body=chunked(b"") + SMUGGLED
    ),
    "chunks and length": request(b"POST /", CHUNKED, b"Content-Length: 5", body=chunked(b"")),
    "two lengths": request(b"POST /", b"Content-Length: 5", b"Content-Length: 6", body=b"bodyxx"),
    "a list of lengths": request(b"POST /", b"Content-Length: 5, 6", body=b"bodyxx"),
    "length with plus": request(b"POST /", b"Content-Length: +4", body=b"body"),
    "length with minus": request(b"POST /", b"Content-Length: -4", body=b"body"),
    "length in hexadecimal": request(b"POST /", b"Content-Length: 0x4", body=b"body"),
    "length with junk": request(b"POST /", b"Content-Length: 4 ;", body=b"body"),
    "length with underscore": request(b"POST /", b"Content-Length: 1_0", body=b"body"),
    "length of two numbers": request(b"POST /", b"Content-Length: 4 4", body=b"body"),
    "length of other digits": request(b"POST /", "Content-Length: ٤".encode(), body=b"body"),
    "length beyond counting": request(b"POST /", b"Content-Length: " + b"9" * 30, body=b"body"),
    "empty length": request(b"POST /", b"Content-Length:", body=b"body"),
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\n%b\r\n%b\r\n\r\n0\r\n\r\n" % (HOST, CHUNKED),
    "bare LF after the start": b"GET / HTTP/1.1\n" + HOST + b"\r\n\r\n",
    "bare LF after a field": START + b"X-A: 1\nX-B: 2\r\n\r\n",
    "bare LF hides a coding": START + b"X-A: 1\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF at the end": START + b"X-A: 1\r\n\n",
    "only bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare CR in a value": START + b"X-A: 1\rX-B: 2\r\n\r\n",
    "bare CR at the start": b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "folded field": START + b"X-A: 1\r\n folded\r\n\r\n",
    "folded by tab": START + b"X-A: 1\r\n\tTransfer-Encoding: chunked\r\n\r\n",
    "space before the first field": b"GET / HTTP/1.1\r\n Host: a\r\n" + HOST + b"\r\n\r\n",
    "space before colon": START + b"Content-Length : 4\r\n\r\nbody",
    "tab before colon": START + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "no colon": START + b"X-A\r\n\r\n",
    "no name": START + b": 1\r\n\r\n",
    "space in a name": START + b"X A: 1\r\n\r\n",
    "high byte in a name": START + b"X-\xe9: 1\r\n\r\n",
    "brackets in a name": START + b"X[A]: 1\r\n\r\n",
    "NUL in a value": START + b"X-A: a\x00b\r\n\r\n",
    "NUL in a name": START + b"X\x00A: 1\r\n\r\n",
    "NUL in the target": b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
    "escape in a value": START + b"X-A: \x1b[2J\r\n\r\n",
    "delete in a value": START + b"X-A: a\x7fb\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "host of junk": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "two spaces in the start": b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
    "tab in the start": b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
    "control byte in the target": b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
    "no version": b"GET /\r\n" + HOST + b"\r\n\r\n",
    "odd version": b"GET / HTTP/1.1x\r\n" + HOST + b"\r\n\r\n",
    "lower case version": b"GET / http/1.1\r\n" + HOST + b"\r\n\r\n",
    "method of junk": b"G(T / HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
    "relative target": b"GET a HTTP/1.1\r\n" + HOST + b"\r\n\r\n",
    "fragment": request(b"GET /api/v1/hosts#x"),
    "fragment in a query": request(b"GET /x?y#"),
    "fragment behind a host": request(b"GET http://%b#/api/v1/hosts" % AUTHORITY),
    "fragment of options": request(b"OPTIONS *#"),
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(150) + b"\r\n\r\n",
}

REFUSED_WITH_A_CODE_OF_ITS_OWN = {
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "HTTP/3.7": (b"GET / HTTP/3.7\r\n" + HOST + b"\r\n\r\n", {400, 505}),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", {400, 405, 501}),
}

UNKNOWN_CODINGS = {
    "unknown coding": request(b"POST /", b"Transfer-Encoding: xchunked", body=chunked(b"a")),
    "identity coding": request(b"POST /", b"Transfer-Encoding: identity", body=b"body"),
    "coding after chunked": request(b"POST /", b"Transfer-Encoding: chunked, identity"),
    "coding before chunked": request(b"POST /", b"Transfer-Encoding: gzip, chunked"),
    "chunked twice": request(b"POST /", b"Transfer-Encoding: chunked, chunked"),
    "two codings": request(b"POST /", CHUNKED, b"Transfer-Encoding: identity"),
    "quoted coding": request(b"POST /", b'Transfer-Encoding: "chunked"', body=chunked(b"a")),
    "empty coding": request(b"POST /", b"Transfer-Encoding:", body=chunked(b"a")),
    "coding with vertical tab": request(b"POST /", b"Transfer-Encoding: \x0bchunked"),
    "coding with parameter": request(b"POST /", b"Transfer-Encoding: chunked;a=1"),
}

BROKEN_CHUNKS = {
    "no size": b"\r\nbody\r\n",
    "size of junk": b"4x\r\nbody\r\n",
    "size with prefix": b"0x4\r\nbody\r\n",
    "size with sign": b"+4\r\nbody\r\n",
    "negative size": b"-4\r\nbody\r\n",
    "size after space": b" 4\r\nbody\r\n",
    "size with underscore": b"0_4\r\nbody\r\n",
    "size beyond counting": b"f" * 17 + b"\r\nbody\r\n",
    "size that wraps around": b"1" + b"0" * 15 + b"4\r\nbody\r\n",
    "bare LF after the size": b"4\nbody\r\n",
    "bare LF in an extension": b"4;a\nb\r\nbody\r\n",
    "bare CR after the size": b"4\rbody\r\n",
    "bare LF after the content": b"4\r\nbody\n",
    "too much content": b"4\r\nbodybody\r\n",
    "endless extension": b"4;" + b"a" * 2**20,
    "bare LF in the trailers": b"0\r\nX-A: 1\n\r\n",
    "NUL in the trailers": b"0\r\nX-A: a\x00b\r\n\r\n",
    "trailer without colon": b"0\r\nX-A\r\n\r\n",
    "endless trailers": b"0\r\n" + b"X-A: 1\r\n" * 2**16,
}


async def _refusal(sidecar: Sidecar, raw: bytes) -> Message:
    """Return the response to *raw*, after which the connection must have ended."""
    async with connected(sidecar.port) as client:
        await client.send(raw)
        seen = await client.response()
        assert await client.read_to_the_end() == b""
    assert isinstance(seen.detail, str)
    assert seen.values(b"Connection") == [b"close"]
    return seen


async def _targets_that_arrived(sidecar: Sidecar, upstream: Upstream) -> list[bytes]:
    """Return what the upstream was asked for, now that nothing more can be under way."""
    async with connected(sidecar.port) as client:
        assert (await client.ask(request(b"GET /afterwards"))).status == 200
    return [call.request.start_line.split(b" ")[1] for call in upstream.calls]


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
async def test_an_ambiguous_request_is_400_and_never_forwarded(
    raw: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    assert (await _refusal(shared_sidecar, raw)).status == 400
    assert await _targets_that_arrived(shared_sidecar, shared_upstream) == [b"/afterwards"]


@pytest.mark.parametrize(
    ("raw", "statuses"),
    REFUSED_WITH_A_CODE_OF_ITS_OWN.values(),
    ids=REFUSED_WITH_A_CODE_OF_ITS_OWN.keys(),
)
async def test_what_is_no_request_for_us_is_refused(
    raw: bytes, statuses: set[int], shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    assert (await _refusal(shared_sidecar, raw)).status in statuses
    assert await _targets_that_arrived(shared_sidecar, shared_upstream) == [b"/afterwards"]


@pytest.mark.parametrize("raw", UNKNOWN_CODINGS.values(), ids=UNKNOWN_CODINGS.keys())
async def test_a_coding_other_than_chunked_is_refused_and_never_forwarded(
    raw: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    # RFC 9112, 6.1: 501 for a coding that is not understood, 400 for one that makes no sense.
    assert (await _refusal(shared_sidecar, raw)).status in {400, 501}
    assert await _targets_that_arrived(shared_sidecar, shared_upstream) == [b"/afterwards"]


@pytest.mark.parametrize("broken", BROKEN_CHUNKS.values(), ids=BROKEN_CHUNKS.keys())
async def test_a_broken_chunk_is_400_and_the_upstream_sees_no_whole_request(
    broken: bytes, shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    async with connected(shared_sidecar.port) as client:
        await client.send(request(b"POST /broken", CHUNKED, body=b"2\r\nok\r\n"))
        call = await shared_upstream.entered()
        client.writer.write(broken)
        seen = await client.response()
        await call.gone()
    assert (seen.status, isinstance(seen.detail, str)) == (400, True)
    assert not call.request.complete
    assert await _targets_that_arrived(shared_sidecar, shared_upstream) == [
        b"/broken",
        b"/afterwards",
    ]


async def test_a_refused_request_does_not_spoil_those_before_it(
    shared_sidecar: Sidecar, shared_upstream: Upstream
) -> None:
    shared_upstream.plan(responding(OK))
    async with connected(shared_sidecar.port) as client:
        await client.send(sized(b"POST /good", b"body") + REFUSED["length and chunks"])
        assert (await client.response()).content == b"ok"
        assert (await client.response()).status == 400
        assert await client.read_to_the_end() == b""
    assert await _targets_that_arrived(shared_sidecar, shared_upstream) == [
        b"/good",
        b"/afterwards",
    ]
