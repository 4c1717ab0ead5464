"""Tool calls that the Hub makes over HTTP: one entry each, as PodWarden documents."""

import json

import pytest

from audit_log.record import Outcome, ToolOutcome
from tests.mcp.invocations import entries, invocations
from tests.mcp.tool_requests import OK, body_calling, posting, response
from tests.neighbours.client import connected
from tests.neighbours.mcp_client import ERAS, mcp_client
from tests.neighbours.services import running_sidecar
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.upstream import never_responding, responding

HUB = "pwc_hub"


def failing(code, message=""):
    return response(json.dumps({"id": 1, "error": {"code": code, "message": message}}).encode())


@pytest.mark.parametrize("era", ERAS)
async def test_each_tool_call_of_the_hub_is_one_entry(era, mcp_server, mcp_sidecar, database):
    async with mcp_client(mcp_sidecar.url, HUB, era) as client:
        await client.call_tool("nothing.a", {"calls": 0})
        await client.call_tool("fail")

        good, failed = await entries(database, 2)
    assert (good["token_name"], good["method"]) == ("Hub Tunnel (hub)", "TOOL")
    assert (good["path"], good["status_code"]) == ("/mcp/tool/nothing.a", 200)
    assert (failed["path"], failed["status_code"]) == ("/mcp/tool/fail", 500)
    assert {row["token_id"] for row in (good, failed)} == {None}
    rows = await invocations(database, 2)
    assert [row.origin for row in rows] == ["hub", "hub"]
    assert [row.id for row in rows] == [good["invocation_id"], failed["invocation_id"]]


async def test_the_status_of_an_entry_tells_how_the_tool_call_ended(
    upstream, database_url, database
):
    responses = {
        response(OK): 200,
        response(b'{"id":1,"result":{"isError":true}}'): 500,
        failing(-32602, "Unknown tool: x"): 404,
        failing(-32601): 404,
        failing(-32602): 400,
        response(b"", status=b"401 No"): 401,
        response(b"", status=b"503 Away"): 503,
    }
    upstream.plan(*map(responding, responses), never_responding)
    async with serving_sidecar(upstream.url, database_url) as sidecar:
        async with connected(sidecar.port) as client:
            for _ in responses:
                await client.ask(posting(HUB, body_calling("x")), b"POST")
            await client.send(posting(HUB, body_calling("x")))
            for _ in range(len(responses)):
                await upstream.entered()
            call = await upstream.entered()
            client.hang_up()
            await call.gone()

        rows = await entries(database, len(responses) + 1)
    assert [row["status_code"] for row in rows] == [*responses.values(), 499]
    assert [row["outcome"] for row in rows] == [Outcome.COMPLETED] * len(responses) + [
        Outcome.CLIENT_CLOSED
    ]


async def test_a_tool_name_is_escaped_in_the_path(upstream, database_url, database):
    upstream.plan(responding(response(OK)))
    async with (
        serving_sidecar(upstream.url, database_url) as sidecar,
        connected(sidecar.port) as client,
    ):
        await client.ask(posting(HUB, body_calling("../a b?<c>\0" + "x" * 500)), b"POST")

        [entry] = await entries(database, 1)
    assert entry["path"].startswith("/mcp/tool/..%2Fa%20b%3F%3Cc%3E%2500xxx")
    assert len(entry["tool"]) == 128


@pytest.mark.parametrize("era", ERAS)
async def test_api_calls_of_the_hubs_tool_call_are_recorded_and_tied_to_it(
    era, mcp_server, mcp_sidecar, database, secret
):
    mcp_server.tools.secret = secret  # PodWarden's own: the Hub's key is none for the API
    async with mcp_client(mcp_sidecar.url, HUB, era) as client:
        await client.call_tool("both.a", {"calls": 2})
        await client.call_tool("nothing.b")

        untied, first, *api_calls, second = sorted(
            await entries(database, 5), key=lambda row: (row["tool"] or "", row["created_at"])
        )
    assert (first["path"], second["path"]) == ("/mcp/tool/both.a", "/mcp/tool/nothing.b")
    assert {(row["token_name"], row["tool"], row["attribution"]) for row in api_calls} == {
        ("laptop", "both.a", "exact")
    }
    # Anybody may claim to be the Hub, so its tool calls are known by ids of ours alone.
    assert (untied["tool"], untied["attribution"]) == (None, None)
    assert {row["invocation_id"] for row in api_calls} == {first["invocation_id"]}
    assert [row.api_calls for row in await invocations(database, 2)] == [2, 0]


async def test_a_kill_in_mid_call_leaves_both_as_interrupted(
    upstream, database_url, database, tmp_path
):
    upstream.plan(never_responding)
    places = {
        "PROXY_JOURNAL_DIR": str(tmp_path / "journal"),
        "PROXY_JOURNAL_RING_DIR": str(tmp_path),
    }
    async with (
        running_sidecar(upstream.url, database_url, **places) as sidecar,
        connected(sidecar.port) as client,
    ):
        await client.send(posting(HUB, body_calling("x")))
        await upstream.entered()
        await sidecar.kill()
    async with running_sidecar(upstream.url, database_url, **places):
        [entry] = await entries(database, 1)
        [invocation] = await invocations(database, 1)
    assert (entry["path"], entry["status_code"]) == ("/mcp/tool/x", 0)
    assert (entry["outcome"], entry["method"]) == (Outcome.INTERRUPTED, "TOOL")
    assert (invocation.outcome, invocation.id) == (
        ToolOutcome.INTERRUPTED,
        entry["invocation_id"],
    )
