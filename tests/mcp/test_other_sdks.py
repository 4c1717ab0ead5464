"""What other SDKs and their servers sent each other, replayed through the sidecar.

`recorded_exchanges.json` has the JSON-RPC messages as `make conformance-clients` plays them; polls
that say the same twice are left out. Only the framing around them is made here.
"""

import json
from pathlib import Path

import pytest

from tests.mcp.invocations import invocations
from tests.mcp.tool_requests import posting, response
from tests.neighbours.client import connected
from tests.neighbours.patience import eventually
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.upstream import responding

RECORDED = json.loads(Path(__file__).with_name("recorded_exchanges.json").read_text())
SESSION = b"Mcp-Session-Id: 86eba14c-1fbf-454b-a42f-a0230c040acf"


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["case"])
async def test_a_tool_call_of_another_sdk_is_one_row_with_its_outcome(
    recorded, upstream, database, database_url, secret
):
    exchanges = recorded["exchanges"]
    version = b"2025-11-25" if recorded["events"] else b"2026-07-28"
    fields = [b"Content-Type: application/json", b"MCP-Protocol-Version: " + version]
    if recorded["events"]:
        fields.append(SESSION)
    upstream.plan(*(responding(_framed(recorded["events"], one["response"])) for one in exchanges))
    async with (
        serving_sidecar(upstream.url, database_url) as sidecar,
        connected(sidecar.port) as client,
    ):
        for one in exchanges:
            body = json.dumps(one["request"]).encode()
            assert (await client.ask(posting(secret, body, *fields), b"POST")).status == 200
        await eventually(lambda: _ended(database))

    [row] = await invocations(database, 1)
    assert (row.tool, row.outcome) == (
        exchanges[0]["request"]["params"]["name"],
        recorded["outcome"],
    )


async def _ended(database):
    return await database.fetch_row(
        "SELECT 1 FROM mcp_tool_invocation WHERE outcome NOT IN ('asked', 'working')"
    )


def _framed(events, message):
    body = json.dumps(message).encode()
    if events:
        return response(
            b"event: message\ndata: " + body + b"\n\n", b"Content-Type: text/event-stream"
        )
    return response(body, b"Content-Type: application/json")
