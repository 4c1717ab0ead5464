"""A collector of OpenTelemetry: keeps the spans that it is sent, and can be told to refuse them.

It runs in the test's process, never in the one it hears of: that would trace its own traffic.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import test_utils, web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.neighbours.client import PATIENCE_SECONDS

TRACES = "/v1/traces"


class Collector:
    """What it was sent. While `status` is not 200 it takes nothing."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.raw = b""
        """Every byte of every request."""
        self._changed = asyncio.Condition()
        self._asked = 0

    async def received(self, count: int) -> list[Any]:
        """Return the spans, as soon as there are *count*."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.spans) >= count)
        return self.spans

    async def was_asked(self) -> None:
        """Wait until the first request has come."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self._asked > 0)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._asked += 1
        if self.status == 200:
            self.raw += body
            for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(values(each.resource))
                for scope in each.scope_spans:
                    self.spans.extend(scope.spans)
        async with self._changed:
            self._changed.notify_all()
        return web.Response(status=self.status)


def values(told: Any) -> dict[str, Any]:
    """Return the attributes of a span or of a resource."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in told.attributes
    }


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Run a collector on a free port."""
    collector = Collector()
    app = web.Application()
    app.router.add_post(TRACES, collector.take)
    server = test_utils.TestServer(app, host="127.0.0.1")
    await server.start_server()
    try:
        collector.url = str(server.make_url(TRACES))
        yield collector
    finally:
        await server.close()
