"""Spans of audited calls: a real sidecar, and a collector in another process than it."""

import os

import pytest

from audit_log.postgres.token_table import TokenTable
from tests.neighbours.client import connected
from tests.neighbours.collector import collecting, values
from tests.neighbours.ops import metric
from tests.neighbours.patience import eventually
from tests.neighbours.program import CHECKOUT, run
from tests.neighbours.services import running_sidecar
from tests.neighbours.upstream import responding

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01".encode()
FAILED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def asking(secret, *fields, target=b"/api/v1/hosts?key=hidden"):
    bearer = b"Authorization: Bearer " + secret.encode()
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: podwarden", bearer, *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def traced(upstream, database_url, collector, **environment):
    return running_sidecar(
        upstream.url,
        database_url,
        PROXY_TRACING="on",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector.url,
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
        assert await metric(sidecar, "spans_total", fate="dropped") == 1
        assert await metric(sidecar, "spans_total", fate="delivered") == 1


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
