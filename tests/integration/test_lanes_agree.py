"""Whatever a client sends, both lanes do the same: upstream, to the client, and in the record.

Raw bytes, several requests a connection, split anywhere; real sidecars, one a lane.
"""

import asyncio
import hashlib
import socket
from collections import Counter
from itertools import pairwise
from typing import Final

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_log.postgres.database import open_database
from audit_log.postgres.token_table import TokenTable
from tests.neighbours.client import PATIENCE_SECONDS, connected
from tests.neighbours.patience import eventually
from tests.neighbours.postgres import fresh_database
from tests.neighbours.services import LANES, running_sidecar
from tests.neighbours.upstream import running_upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Behind anything that leaves a request open there is enough to complete it, and an end.
ENDING: Final = b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" * 60

methods = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"FROB", b"OPTIONS"])
targets = st.sampled_from(
    [b"/api/v1/x", b"/api/%2F//y?q", b"/api/\xff", b"/mcp/x", b"/", b"//api", b"*", b"a", b"/ x"]
)
answers = st.sampled_from([b"/sized", b"/chunked", b"/until-close", b"/204", b"/304", b"/early"])
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
    target = draw(targets) if draw(st.booleans()) else b"/api/v1" + draw(answers)
    framing, body = draw(bodies)
    fields = [b"Host: a", draw(tokens), *draw(odd_fields), framing]
    lines = [draw(methods) + b" " + target + b" HTTP/" + draw(versions), *filter(None, fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


conversations = st.lists(raw_requests(), min_size=1, max_size=4)
cuts = st.lists(st.integers(min_value=1, max_value=2_000), max_size=6)


EARLY_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


async def answer(call):
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
async def lanes(postgres, migrated_template):
    """A sidecar of each lane, with an upstream and a database of its own; and a token for both."""
    async with (
        running_upstream() as upstream,
        fresh_database(postgres, template=migrated_template) as express_url,
        fresh_database(postgres, template=migrated_template) as general_url,
        open_database(express_url, application="test") as express,
        open_database(general_url, application="test") as general,
        running_sidecar(upstream.url, express_url, PROXY_EXPRESS_LANE=LANES["express"]) as one,
        running_sidecar(upstream.url, general_url, PROXY_EXPRESS_LANE=LANES["general"]) as other,
    ):
        upstream.plan(answer)
        token, secret = await TokenTable(express).create("laptop", "operator", 90)
        await general.execute(
            "INSERT INTO mcp_tokens (id, name, role, token_hash, expires_at)"
            " SELECT $1, name, role, token_hash, expires_at FROM json_to_recordset($2)"
            " AS t (name text, role text, token_hash text, expires_at timestamptz)",
            token.id,
            await _rows_as_json(express),
        )
        yield upstream, secret.encode(), [(one, express), (other, general)]


async def _rows_as_json(database):
    row = await database.fetch_row("SELECT json_agg(t)::text AS rows FROM mcp_tokens t")
    return row["rows"]


async def through(sidecar, upstream, wire, cuts):
    """Send *wire* in pieces; return what arrived upstream and all that came back."""
    upstream.plan(answer)
    at = sorted({cut % (len(wire) + 1) for cut in cuts} | {0, len(wire)})
    async with connected(sidecar.port) as client:
        client.writer.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        for start, end in pairwise(at):
            client.writer.write(wire[start:end])
            await asyncio.sleep(0)
        received = await client.read_to_the_end()
    if any(body in wire for _, body in MALFORMED_BODIES):
        # Whether it comes before we see what is wrong with the body is a matter of luck.
        received = received.replace(EARLY_HINTS, b"")
    return [call.request for call in upstream.calls], received


@given(conversations, cuts)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_both_lanes_send_upstream_and_answer_the_same(lanes, conversation, cuts):
    upstream, secret, services = lanes
    wire = b"".join(conversation).replace(b"%(ours)b", secret) + ENDING

    async with asyncio.timeout(4 * PATIENCE_SECONDS):
        (arrived, answered), (also_arrived, also_answered) = [
            await through(sidecar, upstream, wire, cuts) for sidecar, _ in services
        ]

    assert [(seen.head, seen.content) for seen in arrived] == [
        (seen.head, seen.content) for seen in also_arrived
    ]
    assert answered == also_answered


async def test_both_lanes_have_recorded_the_same(lanes):
    """After the conversations above, which it needs."""
    _, _, services = lanes

    async def settled():
        counts = [await _recorded(database) for _, database in services]
        return counts if counts[0].total() == counts[1].total() > 0 else None

    express, general = await eventually(settled)
    assert express == general


async def _recorded(database):
    rows = await database.fetch(
        "SELECT method, path, status_code, outcome, token_name, user_agent FROM mcp_audit_log"
    )
    return Counter(tuple(row.values()) for row in rows)
