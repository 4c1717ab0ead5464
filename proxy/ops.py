"""Health and metrics, on a port of their own so that no path of the API is shadowed."""

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from proxy.health import Health, Status


def ops_app(health: Health, metrics: CollectorRegistry) -> web.Application:
    """Return the application of the ops port."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_request: web.Request) -> web.Response:
        status, reasons = health.report()
        return web.json_response(
            {"status": status, "reasons": reasons},
            status=503 if status is Status.NOT_READY else 200,
        )

    async def metrics_page(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(metrics), headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics_page)
    return app
