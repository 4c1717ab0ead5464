"""`python -m benchmarks.costly_bodies`: bodies made to be costly to read, in two builds.

Each shape is sent with an invented token to the MCP path, and the same bytes to another path; then
each comes as a response. A known caller is timed while such bodies arrive at 1.5 MB/s, and while
the Hub's tool calls get 9,000 responses in reverse order.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import aiohttp
from aiohttp import web

from benchmarks.costly_shapes import REQUESTS, RESPONSES
from benchmarks.database import Database
from benchmarks.load import Target, open_loop
from benchmarks.older_build import OLD, THIS, checked_out
from benchmarks.options import parser
from benchmarks.process import CHECKOUT, free_port
from benchmarks.results import publish, table
from benchmarks.sidecar import Sidecar, running_sidecar
from benchmarks.stage import Stage, open_stage

_INVENTED: Final = "pwm_" + "i" * 43
_FLOODS: Final = ("commas", "keys", "objects, real")
_FLOOD_BYTES: Final = 100_000
_FLOOD_BYTES_PER_SECOND: Final = 1_500_000
_MOST_AT_ONCE: Final = 32
_OPEN: Final = 9_000
_PROBES_PER_SECOND: Final = 200
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
    """A sidecar of one build, and who calls it."""

    sidecar: Sidecar
    hub_url: str
    token: str
    neighbour: Neighbour
    client: aiohttp.ClientSession

    async def post(self, path: str, body: bytes | str) -> float:
        """Return how long a request with an invented token takes, in milliseconds."""
        headers = {"Authorization": f"Bearer {_INVENTED}", "Content-Type": "application/json"}
        url, began = self.sidecar.origin + path, time.perf_counter()
        async with self.client.post(url, headers=headers, data=body) as response:
            await response.read()
        return (time.perf_counter() - began) * 1_000


@dataclass(frozen=True, slots=True)
class Bench:
    """One build, with a database of its own."""

    place: Path
    build: Path
    database: Database
    neighbour: Neighbour

    @asynccontextmanager
    async def scene(self, upstream: str, hub: str) -> AsyncIterator[Scene]:
        """Run a sidecar before *upstream* and *hub*; an invented token is known to be one."""
        place, hub_port = self.place / str(free_port()), free_port()
        place.mkdir(parents=True)
        running = running_sidecar(
            place,
            upstream=upstream,
            database_url=self.database.url,
            build=self.build,
            PROXY_HUB_URL=hub,
            PROXY_HUB_PORT=str(hub_port),
        )
        sidecar = await asyncio.to_thread(running.__enter__)
        try:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
                hub_url = f"http://127.0.0.1:{hub_port}/tunnel"
                scene = Scene(sidecar, hub_url, self.database.token, self.neighbour, client)
                await scene.post("/mcp", _CALL)
                yield scene
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


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
        _worst(tables),
        chosen.results,
        details=f"{table(('1 MB of', *paths), _in_order(requests))}\n\n"
        f"{table(('1 MB of, in a response', *paths), _in_order(responses))}\n\n"
        f"{table(waits, _in_order(others))}",
    )


def _worst(tables: Iterable[Rows]) -> str:
    """Return the worst row of each table, for each build."""
    kinds = ("1 MB in a request", "1 MB in a response", "a known caller's wait beside floods")
    rows = []
    for kind, found in zip(kinds, tables, strict=True):
        for build in dict.fromkeys(row[1] for row in found):
            what, _, first, *_, last = max((row for row in found if row[1] == build), key=_last)
            rows.append((kind, build, what, first, last))
    return table(
        ("", "build", "worst", "MCP path or p50, ms", "times another path, or longest, ms"), rows
    )


def _last(row: tuple[str, ...]) -> float:
    return float(row[-1].replace(",", ""))


def _in_order(rows: Rows) -> Rows:
    """Return *rows* with those of one name together."""
    names = [row[0] for row in rows]
    return sorted(rows, key=lambda row: names.index(row[0]))


async def _measured(
    stage: Stage, name: str, build: Path, rounds: int, seconds: float
) -> tuple[Rows, Rows, Rows]:
    database = await asyncio.to_thread(stage.database, f"database-{name}".replace(" ", "-"))
    async with _neighbour() as (neighbour, url):
        bench = Bench(
            stage.place / f"sidecars-{name}".replace(" ", "-"), build, database, neighbour
        )
        async with bench.scene(url, url) as scene:
            requests, responses = await _ratios(scene, name, rounds)
        # nginx serves the known caller: our own process is busy with the flood.
        async with bench.scene(stage.upstream, url) as scene:
            others = await _others(scene, name, seconds)
    return requests, responses, others


async def _ratios(scene: Scene, name: str, rounds: int) -> tuple[Rows, Rows]:
    requests: Rows = [
        (shape, name, *await _ratio(scene, ("/mcp", "/other"), body, rounds))
        for shape, body in REQUESTS.items()
    ]
    responses: Rows = []
    for shape in RESPONSES:
        paths = (f"/mcp?shape={shape}", f"/other?shape={shape}")
        responses.append((shape, name, *await _ratio(scene, paths, _CALL, rounds)))
    return requests, responses


async def _others(scene: Scene, name: str, seconds: float) -> Rows:
    rows: Rows = [("nothing", name, *await _waits(scene, seconds, asyncio.sleep(seconds)))]
    for shape in _FLOODS:
        flood = _flood(scene, REQUESTS[shape], seconds)
        rows.append((f"1.5 MB/s of {shape}", name, *await _waits(scene, seconds, flood)))
    async with scene.client.ws_connect(scene.hub_url) as podwarden:
        socket = await scene.neighbour.tunnel
        for number in range(_OPEN):
            call = {"jsonrpc": "2.0", "id": number, "method": "tools/call"}
            await socket.send_str(json.dumps(call | {"params": {"name": "x"}}))
        for _ in range(_OPEN):
            await podwarden.receive()
        waits = await _waits(scene, seconds, _respond(scene, podwarden))
    return [*rows, (f"{_OPEN:,} responses of the Hub in reverse", name, *waits)]


async def _respond(scene: Scene, podwarden: aiohttp.ClientWebSocketResponse) -> None:
    for number in reversed(range(_OPEN)):
        await podwarden.send_str(json.dumps({"jsonrpc": "2.0", "id": number, "result": {}}))
    await scene.neighbour.has_all.wait()


async def _waits(scene: Scene, seconds: float, work: Awaitable[None]) -> tuple[str, str]:
    """Return how long a known caller waits while *work* is done: the median, and the longest."""
    target = Target(scene.sidecar.origin, scene.token)
    load = asyncio.to_thread(open_loop, target, per_second=_PROBES_PER_SECOND, seconds=seconds)
    answers, _ = await asyncio.gather(load, work)
    return f"{answers.p50_ms:,.1f}", f"{answers.max_ms:,.1f}"


@asynccontextmanager
async def _neighbour() -> AsyncIterator[tuple[Neighbour, str]]:
    neighbour = Neighbour()
    app = web.Application(client_max_size=0)
    app.router.add_get("/tunnel", neighbour.open_tunnel)
    app.router.add_route("*", "/{path:.*}", neighbour.respond)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield neighbour, f"http://127.0.0.1:{port}"
    finally:
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


if __name__ == "__main__":
    main()
