"""The ops port: health and metrics, apart from what else the process serves."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from audit_log.process.http_server import LimitedRunner
from audit_log.process.sockets import Address, listening

MAX_CONNECTIONS: Final = 32
"""Probes and scrapers are few; a stranger's connections make room for theirs."""


class Status(StrEnum):
    """What `/readyz` returns."""

    READY = "ready"
    DEGRADED = "degraded"
    """The process does its work, but a neighbour is away. Still ready."""
    NOT_READY = "not_ready"


Report = Callable[[], tuple[Status, list[str]]]
"""Returns the status of the process, and the reasons for it."""
Dead = Callable[[], list[str]]
"""Returns which tasks of the process cannot live, and why; empty while all of them can."""
Refresh = Callable[[], Awaitable[None]]
"""Learns the present state of another process, whose state is told as well."""


@asynccontextmanager
async def serving_ops(
    report: Report,
    dead: Dead,
    *collectors: Collector,
    wanted: Address,
    setting: str,
    refresh: Refresh | None = None,
) -> AsyncIterator[Address]:
    """Serve health and the metrics of *collectors* on *wanted*, which *setting* names.

    `/readyz` says what *report* returns, and `/healthz` fails while there are *dead* tasks.
    *refresh* is awaited before each response.
    Yields the address in use. Raises CannotListenError.
    """
    # A registry of its own: the library's default registry is module state.
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    runner = LimitedRunner(_app(report, dead, registry, refresh), max_connections=MAX_CONNECTIONS)
    async with listening(runner, wanted, setting) as address:
        yield address


def vitality(dead: list[str]) -> tuple[dict[str, object], int]:
    """Return the body and the status with which `/healthz` says whether tasks are *dead*."""
    if dead:
        return {"status": "dead", "reasons": dead}, 503
    return {"status": "alive"}, 200


def exposition(request: web.Request, metrics: CollectorRegistry) -> web.Response:
    """Return *metrics* of this moment, in the text format that *request* accepts."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(metrics), headers={"Content-Type": content_type})


def _app(
    report: Report, dead: Dead, metrics: CollectorRegistry, refresh: Refresh | None
) -> web.Application:
    @web.middleware
    async def of_this_moment(request: web.Request, handler: Handler) -> web.StreamResponse:
        if refresh is not None:
            await refresh()
        return await handler(request)

    async def healthz(_request: web.Request) -> web.Response:
        body, status = vitality(dead())
        return web.json_response(body, status=status)

    async def readyz(_request: web.Request) -> web.Response:
        status, reasons = report()
        return web.json_response(
            {"status": status, "reasons": reasons},
            status=503 if status is Status.NOT_READY else 200,
        )

    async def metrics_page(request: web.Request) -> web.Response:
        return exposition(request, metrics)

    app = web.Application(middlewares=[of_this_moment])
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics_page)
    return app
