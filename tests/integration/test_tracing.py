"""Spans of audited calls: a real sidecar, and a collector in another process than it."""

import os
from typing import Any

import pytest
from aiohttp import ClientSession
from mcp.shared.exceptions import MCPError

from audit_log.postgres.token_table import TokenTable
from tests.neighbours.client import connected
from tests.neighbours.collector import collecting, values
from tests.neighbours.mcp_client import MODERN, mcp_client
from tests.neighbours.mcp_server import running_mcp_server
from tests.neighbours.ops import metric, metric_becomes, recovered
from tests.neighbours.patience import eventually
from tests.neighbours.program import CHECKOUT, run
from tests.neighbours.rotel import rotel_before
from tests.neighbours.services import running_sidecar
from tests.neighbours.upstream import responding

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01".encode()
OF_THE_HEAD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FAILED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def asking(secret, *fields, target=b"/api/v1/hosts?key=hidden"):
    bearer = b"Authorization: Bearer " + secret.encode()
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: podwarden", bearer, *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def traced(upstream, database_url, collector, *, url=None, **environment):
    return running_sidecar(
        upstream.url,
        database_url,
        PROXY_TRACING="on",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=url or collector.url,
        PROXY_INSTANCE="sidecar-7",
        **environment,
    )


async def counted(sidecar, fate):
    """Wait until one span has met this *fate*."""

    async def is_counted():
        return await metric(sidecar, "spans_total", fate=fate) == 1

    assert await eventually(is_counted)


@pytest.fixture
async def secret(database):
    return (await TokenTable(database).create("laptop", "operator", 90))[1]


@pytest.fixture
async def collector():
    async with collecting() as collector:
        yield collector


async def test_a_span_is_the_child_of_the_clients_and_says_what_the_record_says(
    upstream, database_url, secret, collector
):
    upstream.plan(responding(FAILED))
    async with traced(upstream, database_url, collector) as sidecar:
        await recovered(sidecar)  # a call is named where its token is found in time
        async with connected(sidecar.port) as client:
            await client.ask(asking(secret, b"traceparent: " + TRACEPARENT))
        [span] = await collector.received(1)
        await counted(sidecar, "delivered")

    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert span.kind == span.SPAN_KIND_SERVER
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 10**10
    said = values(span)
    assert said["http.request.method"] == span.name == "GET"
    assert said["url.path"] == "/api/v1/hosts"
    assert said["http.response.status_code"] == 503
    assert said["error.type"] == "503"
    assert said["podwarden.audit.token_name"] == "laptop"
    assert collector.resources[0]["service.name"] == "podwarden-audit-proxy"
    assert collector.resources[0]["service.instance.id"] == "sidecar-7"
    assert secret.encode() not in collector.raw
    assert b"hidden" not in collector.raw
    # What goes upstream is the client's own: the upstream's spans are children of the client's.
    assert b"traceparent: " + TRACEPARENT in upstream.calls[0].head


async def test_without_a_traceparent_a_trace_begins_and_what_is_not_sampled_is_not_sent(
    upstream, database_url, secret, collector
):
    unsampled = b"traceparent: " + TRACEPARENT[:-1] + b"0"
    async with traced(upstream, database_url, collector) as sidecar:
        async with connected(sidecar.port) as client:
            await client.ask(asking(secret))
            await client.ask(asking(secret, b"traceparent: no such thing"))
            await client.ask(asking(secret, unsampled))
        await counted(sidecar, "unsampled")
        spans = await collector.received(2)
    assert {span.parent_span_id for span in spans} == {b""}
    assert len({span.trace_id for span in spans}) == 2
    assert b"traceparent" not in upstream.calls[0].head

    # Unless a standard variable says so.
    async with traced(
        upstream, database_url, collector, OTEL_TRACES_SAMPLER="always_on"
    ) as sidecar:
        async with connected(sidecar.port) as client:
            await client.ask(asking(secret, unsampled))
        *_, span = await collector.received(3)

    assert span.parent_span_id.hex() == PARENT_ID


async def test_a_tool_call_and_the_api_calls_that_it_causes_form_one_trace(
    database_url, secret, collector
):
    async with (
        running_mcp_server() as server,
        rotel_before(collector) as url,
        traced(server, database_url, collector, url=url) as sidecar,
        mcp_client(sidecar.url, secret, MODERN, traceparent=OF_THE_HEAD) as client,
    ):
        server.tools.api_url = sidecar.url
        meta: Any = {"traceparent": TRACEPARENT.decode()}
        await client.call_tool("nothing.a", meta=meta)
        await client.call_tool("context.b", meta=meta)
        await collector.received(4)

    spans = {(span.name, values(span).get("url.path")): span for span in collector.spans}
    tool, other_tool = spans["tools/call nothing.a", None], spans["tools/call context.b", None]
    # The message's own context has precedence over the head's, which may be of the transport.
    assert (tool.trace_id.hex(), tool.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    [link] = tool.links
    assert (link.trace_id.hex(), link.span_id.hex()) == tuple(OF_THE_HEAD.split("-")[1:3])
    # An API call without a context is a child of the tool call; one with a context is linked.
    caused = spans["GET", "/api/v1/a/0"]
    assert (caused.trace_id, caused.parent_span_id) == (tool.trace_id, tool.span_id)
    passed_on = spans["GET", "/api/v1/b/0"]
    assert passed_on.parent_span_id.hex() == OF_THE_HEAD.split("-")[2]
    assert [link.span_id for link in passed_on.links] == [other_tool.span_id]


async def test_a_tool_call_has_the_attributes_of_the_conventions(database_url, secret, collector):
    async with (
        running_mcp_server() as server,
        traced(server, database_url, collector) as sidecar,
        mcp_client(sidecar.url, secret, "legacy") as client,
    ):
        server.tools.api_url = sidecar.url
        await recovered(sidecar)
        await client.call_tool("fail")
        with pytest.raises(MCPError):
            await client.call_tool("unheard_of")
        await client.call_tool("nothing.a")
        await collector.received(4)
        async with ClientSession() as http, http.get(f"{sidecar.ops_url}/metrics") as response:
            page = await response.text()

    assert "mcp_server_operation_duration_seconds_bucket{" in page
    assert 'gen_ai_tool_name="nothing.a",le="300.0"' in page
    failed, unknown, *rest = collector.spans
    [tool] = [span for span in rest if span.name == "tools/call nothing.a"]
    [caused] = [span for span in rest if span.name == "GET"]
    said = values(failed)
    assert failed.name == "tools/call fail"
    assert (failed.kind, failed.status.code) == (failed.SPAN_KIND_SERVER, 2)
    assert (
        said.items()
        >= {
            "mcp.method.name": "tools/call",
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "fail",
            "error.type": "tool_error",
            "network.transport": "tcp",
            "network.protocol.name": "http",
        }.items()
    )
    assert {"mcp.session.id", "mcp.protocol.version", "jsonrpc.request.id"} <= said.keys()
    # A client can invent names of tools without limit: they are no names of spans.
    assert unknown.name == "tools/call"
    assert values(unknown)["error.type"] == values(unknown)["rpc.response.status_code"] == "-32602"
    assert "error.type" not in values(tool)
    assert values(tool)["podwarden.audit.token_name"] == "laptop"
    assert tool.status.code == 0
    # Without a context of the client a trace begins, and it is one trace all the same.
    assert tool.parent_span_id == b""
    assert (caused.trace_id, caused.parent_span_id) == (tool.trace_id, tool.span_id)


async def test_a_collector_that_refuses_costs_the_spans_and_no_call(
    upstream, database_url, secret, collector
):
    collector.status = 400
    async with traced(upstream, database_url, collector) as sidecar:
        async with connected(sidecar.port) as client:
            assert (await client.ask(asking(secret))).status == 200
            await sidecar.logged("tracing.became_unavailable")
            collector.status = 200
            assert (await client.ask(asking(secret))).status == 200
        await sidecar.logged("tracing.became_available")
        await metric_becomes(sidecar, 1, "spans_total", fate="dropped")
        await metric_becomes(sidecar, 1, "spans_total", fate="delivered")


async def test_spans_that_wait_are_sent_at_the_stop(upstream, database_url, secret, collector):
    async with traced(upstream, database_url, collector) as sidecar:
        async with connected(sidecar.port) as client:
            await client.ask(asking(secret))
            await collector.received(1)
            await client.ask(asking(secret))  # waits for its turn
        assert await sidecar.stop() == 0

    assert len(collector.spans) == 2


def test_without_the_extra_the_start_ends_with_one_line(tmp_path):
    # As where it is not installed: what comes first on the path is no OpenTelemetry.
    (tmp_path / "opentelemetry.py").write_text("")

    line = refusal_to_start(PYTHONPATH=f"{tmp_path}:{CHECKOUT}")

    assert line.startswith("PROXY_TRACING: OpenTelemetry is not installed")
    assert "requirements/otel.lock" in line


def test_a_variable_of_the_sdk_that_makes_no_sense_ends_the_start_with_one_line():
    line = refusal_to_start(OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="many")

    assert line.startswith("PROXY_TRACING: ")
    assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" in line


def refusal_to_start(**environment):
    """Start a sidecar that traces; return the one line that it ends with."""
    settings = {
        "PATH": os.environ["PATH"],
        "AUDIT_LOG_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/no",
        "PROXY_UPSTREAM_URL": "http://127.0.0.1:1",
        "PROXY_TRACING": "on",
        "AUDIT_LOG_LOG_LEVEL": "error",
    }
    code, _, said = run("proxy", environment=settings | environment, seconds=30)
    assert code == 1
    [line] = said.splitlines()
    return line
