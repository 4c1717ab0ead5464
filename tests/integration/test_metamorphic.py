"""The same bytes, cut anywhere, give the same bytes upstream, the same responses and records.

Raw bytes, several requests per connection. One sidecar is sent each conversation as a whole, the
other the same conversation in pieces.
"""

import asyncio
import hashlib
import socket
from collections import Counter
from itertools import pairwise
from typing import Final
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_log.postgres.database import open_database
from audit_log.tokens import hash_token
from tests.neighbours.client import PATIENCE_SECONDS, connected
from tests.neighbours.patience import eventually
from tests.neighbours.postgres import fresh_database
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.upstream import running_upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Behind anything that leaves a request open there is enough to complete it, and an end.
ENDING: Final = b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" * 60

TURNS: Final = 4

methods = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"FROB", b"OPTIONS"])
targets = st.sampled_from(
    [b"/api/v1/x", b"/api/%2F//y?q", b"/api/\xff", b"/mcp/x", b"/", b"//api", b"*", b"a", b"/ x"]
)
responses = st.sampled_from([b"/sized", b"/chunked", b"/until-close", b"/204", b"/304", b"/early"])
odd_fields = st.lists(
    st.sampled_from(
        [
            b"X-A: 1",
            b"x-a:2 ",
            b"X-Empty:",
            b"Connection: close",
            b"Connection: keep-alive, X-A",
            b"Connection: Upgrade\r\nUpgrade: x",
            b"Expect: 100-continue",
            b"TE: trailers",
            b"X-Forwarded-For: 1.1.1.1",
            b"Authorization: Basic eA==",
            b"Content-Length: 3",
            b"Content-Length: +3",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: gzip",
            b"Bad Name: 1",
            b" folded",
            b"X-Nul: \x00",
            b"X-Bytes: \xe9\xff",
            b"Host: b",
        ]
    ),
    max_size=3,
)
MALFORMED_BODIES: Final = (
    (b"Transfer-Encoding: chunked", b"z\r\nhello\r\n0\r\n\r\n"),
    (b"Transfer-Encoding: chunked", b"5\nhello\r\n0\r\n\r\n"),
)
bodies = st.sampled_from(
    [
        (b"", b""),
        (b"Content-Length: 5", b"hello"),
        (b"Content-Length: 500", b"x" * 500),
        (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"5;a=b\r\nhello\r\n0\r\nT: 1\r\n\r\n"),
        *MALFORMED_BODIES,
    ]
)
versions = st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0", b"2.0"])
tokens = st.sampled_from([b"", b"Authorization: Bearer %(ours)b", b"authorization: bearer pwm_x"])


@st.composite
def raw_requests(draw):
    target = draw(targets) if draw(st.booleans()) else b"/api/v1" + draw(responses)
    framing, body = draw(bodies)
    fields = [b"Host: a", draw(tokens), *draw(odd_fields), framing]
    lines = [draw(methods) + b" " + target + b" HTTP/" + draw(versions), *filter(None, fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


conversations = st.lists(raw_requests(), min_size=1, max_size=4)
cuts = st.lists(st.integers(min_value=1, max_value=2_000), max_size=6)


EARLY_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


async def respond(call):
    """Answer so that the client learns what arrived, in the framing that the target names."""
    kind = call.request.start_line.split(b" ")[1].rpartition(b"/")[2]
    if kind == b"early":
        await call.send(EARLY_HINTS)
    message = await call.read_body()
    digest = hashlib.sha256(message.head + message.content).hexdigest().encode()
    bare = message.start_line.startswith(b"HEAD ")
    if kind in {b"204", b"304"}:
        await call.send(b"HTTP/1.1 " + kind + b" Nothing\r\nX-Seen: " + digest + b"\r\n\r\n")
    elif kind == b"chunked":
        head = b"HTTP/1.1 200 OK\r\nX-Seen: " + digest + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
        await call.send(head + (b"" if bare else b"40\r\n" + digest + b"\r\n0\r\nT: 1\r\n\r\n"))
    elif kind == b"until-close":
        await call.send(b"HTTP/1.1 200 OK\r\n\r\n" + (b"" if bare else digest))
        call.close()
    else:
        head = b"HTTP/1.1 200 Fine\r\nX-Seen: " + digest + b"\r\nContent-Length: 64\r\n\r\n"
        await call.send(head + (b"" if bare else digest))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sidecars(postgres, migrated_template):
    """Two sidecars with one upstream, each with a database of its own; and a token for both."""
    async with (
        running_upstream() as upstream,
        fresh_database(postgres, template=migrated_template) as whole_url,
        fresh_database(postgres, template=migrated_template) as cut_url,
        open_database(whole_url, application="test") as whole,
        open_database(cut_url, application="test") as cut,
    ):
        secret = "pwm_" + 43 * "a"
        for database in (whole, cut):
            await database.execute(
                "INSERT INTO mcp_tokens (id, name, role, token_hash, expires_at)"
                " VALUES ($1, 'laptop', 'operator', $2, now() + interval '1 day')",
                uuid4(),
                hash_token(secret),
            )
        async with (
            serving_sidecar(upstream.url, whole_url) as one,
            serving_sidecar(upstream.url, cut_url) as other,
        ):
            yield upstream, secret.encode(), [(one, whole), (other, cut)]


async def through(sidecar, upstream, wire, at):
    """Send *wire* in pieces that end *at*; return what arrived upstream and all that came back.

    A request whose body is malformed may have reached the upstream in part, or not at all: that
    depends on how much of it was here when its head was. The responses are the same.
    """
    upstream.plan(respond)
    async with connected(sidecar.port) as client:
        client.writer.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        for start, end in pairwise([0, *at, len(wire)]):
            client.writer.write(wire[start:end])
            # The sidecar runs in this loop: it has its turn between two pieces, and reads them
            # apart once they have passed the socket.
            for _ in range(TURNS):
                await asyncio.sleep(0)
        received = await client.read_to_the_end()
    calls = upstream.calls
    if any(body in wire for _, body in MALFORMED_BODIES):
        # Whether it comes before the fault in the body is seen is a matter of luck.
        received = received.replace(EARLY_HINTS, b"")
        calls = [call for call in calls if call.request.complete]
    return [(call.request.head, call.request.content) for call in calls], received


async def both_ways(sidecars, conversation, cuts):
    """Return what became of *conversation* as a whole, and in pieces."""
    upstream, secret, [(one, _), (other, _)] = sidecars
    wire = b"".join(conversation).replace(b"%(ours)b", secret) + ENDING
    at = sorted({cut % len(wire) for cut in cuts} - {0})
    async with asyncio.timeout(4 * PATIENCE_SECONDS):
        whole = await through(one, upstream, wire, [])
        return whole, await through(other, upstream, wire, at)


@given(conversations, cuts)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_cut_anywhere_the_same_bytes_give_the_same_exchange(sidecars, conversation, cuts):
    whole, in_pieces = await both_ways(sidecars, conversation, cuts)

    assert in_pieces == whole


CHUNKED: Final = b"POST /api/v1/chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED: Final = b"PUT /api/v1/sized HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
PIPELINED: Final = (
    CHUNKED + b"5;a=b\r\nhello\r\n0\r\nT: 1\r\n\r\n\r\n" + SIZED + b"GET /api/v1/204 HTTP/1.1\r\n"
    b"Host: a\r\nAuthorization: Bearer %(ours)b\r\n\r\n"
)


async def test_a_repeated_head_that_is_cut_leaves_no_trace_in_the_next(sidecars):
    """The head is not parsed again, and how far it was searched must be forgotten with it."""
    head = b"HEAD /api/v1/sized HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n"
    conversation = [head + b"x" * 500, head + b"x" * 500]
    second = len(head) + 500
    for cut in range(second + 1, second + len(head) + 40):
        whole, in_pieces = await both_ways(sidecars, conversation, [cut])

        assert in_pieces == whole


async def test_cut_at_each_byte_the_same_bytes_give_the_same_exchange(sidecars):
    """Two pieces, with every place between them; and all bytes apart."""
    for cuts in [*([at] for at in range(1, len(PIPELINED))), range(1, len(PIPELINED))]:
        whole, in_pieces = await both_ways(sidecars, [PIPELINED], cuts)

        assert in_pieces == whole


async def test_cut_or_whole_the_same_was_recorded(sidecars):
    """After the conversations above, which it needs."""
    _, _, services = sidecars

    async def settled():
        counts = [await _recorded(database) for _, database in services]
        return counts if counts[0].total() == counts[1].total() > 0 else None

    whole, in_pieces = await eventually(settled)
    assert in_pieces == whole


async def _recorded(database):
    rows = await database.fetch(
        "SELECT method, path, status_code, outcome, token_name, user_agent FROM mcp_audit_log"
    )
    return Counter(tuple(row.values()) for row in rows)
