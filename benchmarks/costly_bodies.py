"""`python -m benchmarks.costly_bodies`: bodies made to be costly to read, in two builds.

Each shape is sent with an invented token to the MCP path, and the same bytes to another path; then
each comes as a response. A known caller is timed while such bodies arrive at 1.5 MB/s, and while
the Hub's tool calls get 9,000 responses in reverse order.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import aiohttp
from aiohttp import web

from benchmarks.builds import OLD, THIS, checked_out
from benchmarks.costly_shapes import REQUESTS, RESPONSES
from benchmarks.options import parser
from benchmarks.process import BOTH_CORES, CHECKOUT, free_port
from benchmarks.results import publish, table
from benchmarks.sidecar import Sidecar, running_sidecar
from benchmarks.stage import Stage, open_stage

_INVENTED: Final = "pwm_" + "i" * 43
_FLOODS: Final = ("commas", "keys", "objects, real")
_FLOOD_BYTES: Final = 100_000
_FLOOD_BYTES_PER_SECOND: Final = 1_500_000
_MOST_AT_ONCE: Final = 32
_OPEN: Final = 9_000
_PROBE_SECONDS: Final = 0.002
_CALL: Final = json.dumps({"id": 1, "method": "tools/call", "params": {"name": "x"}})

Rows = list[tuple[str, ...]]


@dataclass(slots=True)
class Neighbour:
    """An API with an MCP server and a Hub in one."""

    tunnel: asyncio.Future[web.WebSocketResponse] = field(default_factory=asyncio.Future)
    responses: int = 0
    """How many messages came through the tunnel."""
    has_all: asyncio.Event = field(default_factory=asyncio.Event)

    async def respond(self, request: web.Request) -> web.Response:
        """Respond as the query says."""
        async for _ in request.content.iter_any():
            pass
        if (shape := request.query.get("shape")) is None:
            return web.json_response({}, status=401)
        return web.Response(body=RESPONSES[shape].content, headers=RESPONSES[shape].fields)

    async def open_tunnel(self, request: web.Request) -> web.WebSocketResponse:
        """Be the Hub."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.tunnel.set_result(socket)
        async for _ in socket:
            self.responses += 1
            if self.responses == _OPEN:
                self.has_all.set()
        return socket


@dataclass(frozen=True, slots=True)
class Scene:
    """A sidecar of one build, before a neighbour."""

    sidecar: Sidecar
    hub_port: str
    token: str
    neighbour: Neighbour
    client: aiohttp.ClientSession

    async def post(self, path: str, body: bytes | str) -> float:
        """Return how long a request with an invented token takes, in milliseconds."""
        headers = {"Authorization": f"Bearer {_INVENTED}", "Content-Type": "application/json"}
        return await self._timed("POST", path, headers=headers, data=body)

    async def probe(self) -> float:
        """Return how long a call of a known caller takes, in milliseconds."""
        return await self._timed(
            "GET", "/api/v1/x", headers={"Authorization": f"Bearer {self.token}"}
        )

    async def probes_during(self, work: Awaitable[object]) -> list[float]:
        """Return how long the calls of a known caller take while *work* is done."""
        task, times = asyncio.ensure_future(work), []
        while not task.done():
            times.append(await self.probe())
            await asyncio.sleep(_PROBE_SECONDS)
        await task
        return times

    async def _timed(self, method: str, path: str, **given: object) -> float:
        began = time.perf_counter()
        url = self.sidecar.origin + path
        async with self.client.request(method, url, **given) as response:  # type: ignore[arg-type]
            await response.read()
        return (time.perf_counter() - began) * 1_000


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--revision", default=OLD, help="the older build")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=10)
    chosen = options.parse_args()
    rounds, seconds = (1, 1) if chosen.short else (chosen.rounds, chosen.seconds)
    tables: tuple[Rows, Rows, Rows] = ([], [], [])
    with open_stage() as stage:
        old = checked_out(chosen.revision, stage.place / "old-build")
        for name, build in {chosen.revision: old, THIS: CHECKOUT}.items():
            measured = asyncio.run(_measured(stage, name, build, rounds, seconds))
            for index, rows in enumerate(measured):
                tables[index].extend(rows)
    requests, responses, others = tables
    paths = ("build", "MCP path, ms", "other path, ms", "ratio")
    waits = ("a known caller beside", "build", "p50, ms", "longest, ms")
    publish(
        "Bodies that are costly to read",
        f"python -m benchmarks.costly_bodies --revision {chosen.revision} --rounds {rounds}"
        f" --seconds {seconds:g}",
        f"{table(('1 MB of', *paths), _in_order(requests))}\n\n"
        f"{table(('1 MB of, in a response', *paths), _in_order(responses))}\n\n"
        f"{table(waits, _in_order(others))}",
        chosen.results,
    )


def _in_order(rows: Rows) -> Rows:
    """Return *rows* with those of one name together."""
    names = [row[0] for row in rows]
    return sorted(rows, key=lambda row: names.index(row[0]))


async def _measured(
    stage: Stage, name: str, build: Path, rounds: int, seconds: float
) -> tuple[Rows, Rows, Rows]:
    async with _scene(stage, name, build) as scene:
        await scene.post("/mcp", _CALL)  # the token is looked up
        requests: Rows = [
            (shape, name, *await _ratio(scene, ("/mcp", "/other"), body, rounds))
            for shape, body in REQUESTS.items()
        ]
        responses: Rows = []
        for shape in RESPONSES:
            paths = (f"/mcp?shape={shape}", f"/other?shape={shape}")
            responses.append((shape, name, *await _ratio(scene, paths, _CALL, rounds)))
        alone = await scene.probes_during(asyncio.sleep(seconds))
        others: Rows = [("nothing", name, *_waits(alone))]
        for shape in _FLOODS:
            times = await scene.probes_during(_flood(scene, REQUESTS[shape], seconds))
            others.append((f"1.5 MB/s of {shape}", name, *_waits(times)))
        times = await _beside_the_hub(scene)
        others.append((f"{_OPEN:,} responses of the Hub in reverse", name, *_waits(times)))
        return requests, responses, others


@asynccontextmanager
async def _scene(stage: Stage, name: str, build: Path) -> AsyncIterator[Scene]:
    label = name.replace(" ", "-")
    database = await asyncio.to_thread(stage.database, f"database-{label}")
    neighbour = Neighbour()
    app = web.Application(client_max_size=0)
    app.router.add_get("/tunnel", neighbour.open_tunnel)
    app.router.add_route("*", "/{path:.*}", neighbour.respond)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port, hub_port = free_port(), str(free_port())
    await web.TCPSite(runner, "127.0.0.1", port).start()
    place = stage.place / f"sidecar-{label}"
    place.mkdir()
    url = f"http://127.0.0.1:{port}"
    hub = {"PROXY_HUB_URL": url, "PROXY_HUB_PORT": hub_port}
    running = running_sidecar(
        place, upstream=url, database_url=database.url, core=BOTH_CORES, build=build, **hub
    )
    sidecar = await asyncio.to_thread(running.__enter__)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
            yield Scene(sidecar, hub_port, database.token, neighbour, client)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
        await runner.cleanup()


async def _ratio(
    scene: Scene, paths: tuple[str, str], body: bytes | str, rounds: int
) -> tuple[str, str, str]:
    times = [[await scene.post(path, body) for path in paths] for _ in range(rounds)]
    mcp, other = (median(each) for each in zip(*times, strict=True))
    return f"{mcp:,.1f}", f"{other:,.1f}", f"{mcp / other:.1f}"


async def _flood(scene: Scene, body: bytes, seconds: float) -> None:
    """Send beginnings of *body* at a fixed rate, as far as the sidecar takes them in."""
    loop, held = asyncio.get_running_loop(), set[asyncio.Task[float]]()
    began = due = loop.time()
    while loop.time() < began + seconds:
        if len(held) < _MOST_AT_ONCE:
            task = asyncio.create_task(scene.post("/mcp", body[:_FLOOD_BYTES]))
            held.add(task)
            task.add_done_callback(held.discard)
        due += _FLOOD_BYTES / _FLOOD_BYTES_PER_SECOND
        await asyncio.sleep(max(0.0, due - loop.time()))
    await asyncio.gather(*held)


async def _beside_the_hub(scene: Scene) -> list[float]:
    url = f"http://127.0.0.1:{scene.hub_port}/tunnel"
    async with scene.client.ws_connect(url) as podwarden:
        socket = await scene.neighbour.tunnel
        for number in range(_OPEN):
            call = {"jsonrpc": "2.0", "id": number, "method": "tools/call"}
            await socket.send_str(json.dumps(call | {"params": {"name": "x"}}))
        for _ in range(_OPEN):
            await podwarden.receive()

        async def respond() -> None:
            for number in reversed(range(_OPEN)):
                response = {"jsonrpc": "2.0", "id": number, "result": {}}
                await podwarden.send_str(json.dumps(response))
            await scene.neighbour.has_all.wait()

        return await scene.probes_during(respond())


def _waits(times: list[float]) -> tuple[str, str]:
    return f"{median(times):,.1f}", f"{max(times):,.1f}"


if __name__ == "__main__":
    main()
