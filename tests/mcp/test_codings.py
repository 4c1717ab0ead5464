"""Responses of an MCP server that compresses, read for the outcome of tool calls."""

import brotli
import pytest
from starlette.datastructures import Headers
from starlette_compress import CompressMiddleware

from audit_log.postgres.token_table import TokenTable
from audit_log.record import ToolOutcome
from tests.mcp.invocations import invocations
from tests.mcp.tool_requests import body_calling, posting, response
from tests.neighbours.client import connected
from tests.neighbours.mcp_client import ERAS, mcp_client
from tests.neighbours.mcp_server import running_mcp_server
from tests.neighbours.ops import metric
from tests.neighbours.program import CHECKOUT
from tests.neighbours.services import running_sidecar
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.upstream import responding

FAILED = b'{"jsonrpc":"2.0","id":1,"result":{"isError":true}}'


class Compressing:
    """Compresses the responses of an app, and notes in which codings it has sent them."""

    def __init__(self):
        self.sent = []

    def __call__(self, app):
        compressing = CompressMiddleware(app, minimum_size=1)

        async def serve(scope, receive, send):
            async def note(message):
                if message["type"] == "http.response.start":
                    self.sent.append(Headers(raw=message["headers"]).get("content-encoding"))
                await send(message)

            await compressing(scope, receive, note)

        return serve


@pytest.mark.parametrize("coding", ["br", "zstd"])
@pytest.mark.parametrize("is_json", [False, True], ids=["events", "json"])
async def test_a_tool_that_failed_is_seen_in_a_compressed_response(
    is_json, coding, database_url, database, secret
):
    compressing = Compressing()
    async with (
        running_mcp_server(json_response=is_json, around=compressing) as server,
        serving_sidecar(server.url, database_url) as sidecar,
    ):
        for era in ERAS:
            async with mcp_client(sidecar.url, secret, era, accept_encoding=coding) as client:
                assert (await client.call_tool("fail")).is_error
        rows = await invocations(database, len(ERAS))

    assert coding in compressing.sent
    assert [row.outcome for row in rows] == [ToolOutcome.TOOL_ERROR] * len(ERAS)


async def test_without_its_library_a_coding_is_relayed_and_the_operator_is_told_once(
    upstream, database_url, database, tmp_path
):
    # As where it is not installed: what comes first on the path is not that library.
    (tmp_path / "brotli.py").write_text("raise ImportError")
    without = {"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"}
    (_, secret), body = await TokenTable(database).create("x", "admin", 9), body_calling("x")
    compressed = brotli.compress(FAILED)
    upstream.plan(responding(response(compressed, b"Content-Encoding: br")))

    async with running_sidecar(upstream.url, database_url, **without) as sidecar:
        said = await sidecar.logged("mcp.codings_missing")
        async with connected(sidecar.port) as client:
            received = await client.ask(posting(secret, body), b"POST")
        [row] = await invocations(database, 1)
        assert await metric(sidecar, "oddities_total", kind="mcp_response_unreadable") == 1

    assert received.content == compressed
    assert (row.outcome, row.status_code) == (ToolOutcome.UNKNOWN, 200)
    assert "install" in said["reason"]
