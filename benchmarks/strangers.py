"""`python -m benchmarks.strangers`: what floods by invented tokens cost known callers, per build.

Three floods, each against a sidecar of its own that is killed, or stopped, and started again:

- *Slots.* 175 clients with an invented token each have 100 tool calls in flight, then 20 API calls
  of a known token begin, and the sidecar is killed.
- *Journal.* An invented token sends batches of 100 tool calls while records cannot be written,
  then a known token makes 1,000 API calls.
- *Tunnel.* The Hub has 12,000 tool calls open in its tunnel, and the sidecar is killed.
"""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from audit_log.postgres.database import Database, open_database
from benchmarks.older_build import OLD, THIS, checked_out
from benchmarks.options import parser
from benchmarks.process import BOTH_CORES, CHECKOUT, free_port
from benchmarks.results import publish, table
from benchmarks.sidecar import Sidecar, ring_setting, running_sidecar
from benchmarks.stage import Stage, open_stage

_INVENTED: Final = "pwm_" + "i" * 43
_STRANGERS: Final = 175
_BATCH: Final = 100
_VICTIMS: Final = 20
_HONEST: Final = 1_000
_TUNNEL: Final = 12_000
_SMALL: Final = str(1024 * 1024)
_PATIENCE_SECONDS: Final = 120
_AWAY: Final = "postgresql://nobody@127.0.0.1:1/none"


@dataclass(slots=True)
class Neighbour:
    """An API with an MCP server and a Hub in one, that holds what it is told to hold."""

    arrived: int = 0
    """Requests that are held."""
    holds_tool_calls: bool = True
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    tunnel: asyncio.Future[web.WebSocketResponse] = field(default_factory=asyncio.Future)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Respond, unless the request is to be held."""
        await request.read()
        if "held" in request.path or (request.method == "POST" and self.holds_tool_calls):
            async with self.changed:
                self.arrived += 1
                self.changed.notify_all()
            await asyncio.Event().wait()
        return web.json_response({}, status=401 if request.method == "POST" else 200)

    async def open_tunnel(self, request: web.Request) -> web.WebSocketResponse:
        """Be the Hub."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.tunnel.set_result(socket)
        async for _ in socket:
            pass
        return socket

    async def has(self, count: int) -> None:
        """Wait until *count* requests are held."""
        async with asyncio.timeout(_PATIENCE_SECONDS), self.changed:
            await self.changed.wait_for(lambda: self.arrived >= count)


@dataclass(frozen=True, slots=True)
class Scene:
    """One build, with a database and a journal of its own."""

    build: Path
    place: Path
    url: str
    token: str
    neighbour: Neighbour
    neighbour_url: str

    @asynccontextmanager
    async def sidecar(self, database_url: str, **settings: str) -> AsyncIterator[Sidecar]:
        """Run the sidecar; it goes on with the journal of the run before."""
        ring = self.place / "ring"
        ring.mkdir(parents=True, exist_ok=True)
        running = running_sidecar(
            self.place,
            upstream=self.neighbour_url,
            database_url=database_url,
            core=BOTH_CORES,
            build=self.build,
            PROXY_CONNECT_TIMEOUT_SECONDS="60",
            **{ring_setting(self.build): str(ring)},
            **settings,
        )
        sidecar = await asyncio.to_thread(running.__enter__)
        try:
            yield sidecar
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)

    async def written(self) -> Mapping[str, int]:
        """Start the sidecar again until all is written; return what is in the database."""
        async with self.sidecar(self.url):
            pass  # it ends when everything is written
        async with open_database(self.url, application="benchmark") as database:
            return {
                "entries": await _count(database, "mcp_audit_log WHERE token_id IS NOT NULL"),
                "hub": await _count(database, "mcp_audit_log WHERE method = 'TOOL'"),
                "ties": await _count(database, "mcp_audit_log WHERE attribution IS NOT NULL"),
                "gap": await _count(database, "mcp_audit_gap", "coalesce(sum(count), 0)"),
            }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--revision", default=OLD, help="the older build")
    chosen = options.parse_args()
    rows = []
    with open_stage() as stage:
        old = checked_out(chosen.revision, stage.place / "old-build")
        for name, flood in (("slots", _slots), ("journal", _journal), ("tunnel", _tunnel)):
            for label, build in ((chosen.revision, old), (THIS, CHECKOUT)):
                said = asyncio.run(
                    _played(stage, f"{name}-{label}".replace(" ", "-"), build, flood)
                )
                rows.append((name, label, said))
    publish(
        "Floods by invented tokens",
        f"python -m benchmarks.strangers --revision {chosen.revision}",
        "What known callers keep in each flood: see the details.",
        chosen.results,
        details=table(("flood", "build", "known callers"), rows),
    )


async def _played(
    stage: Stage, name: str, build: Path, flood: Callable[[Scene], Awaitable[str]]
) -> str:
    database = await asyncio.to_thread(stage.database, f"database-{name}")
    neighbour = Neighbour()
    app = web.Application()
    app.router.add_get("/tunnel", neighbour.open_tunnel)
    app.router.add_route("*", "/{path:.*}", neighbour.respond)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1_024).start()
    try:
        scene = Scene(
            *(build, stage.place / name, database.url, database.token),
            *(neighbour, f"http://127.0.0.1:{port}"),
        )
        return await flood(scene)
    finally:
        await runner.cleanup()


async def _slots(scene: Scene) -> str:
    async with AsyncExitStack() as stack:
        sidecar = await stack.enter_async_context(scene.sidecar(scene.url))
        client = await stack.enter_async_context(_client())
        await _get(client, sidecar, scene, "first")
        held = [
            asyncio.create_task(_post(client, sidecar, _INVENTED, _BATCH))
            for _ in range(_STRANGERS)
        ]
        await scene.neighbour.has(_STRANGERS)
        held += [
            asyncio.create_task(_get(client, sidecar, scene, f"held/{number}"))
            for number in range(_VICTIMS)
        ]
        held.append(asyncio.create_task(_post(client, sidecar, scene.token, 1)))
        await scene.neighbour.has(_STRANGERS + _VICTIMS + 1)
        await _get(client, sidecar, scene, "caused-by-it")
        os.kill(sidecar.process.pid, signal.SIGKILL)
        await asyncio.gather(*held, return_exceptions=True)
    found = await scene.written()
    return (
        f"{found['entries'] - 2} of {_VICTIMS} calls in flight have an entry,"
        f" {found['ties']} of 1 is tied, a gap tells of {found['gap']:,}"
    )


async def _journal(scene: Scene) -> str:
    scene.neighbour.holds_tool_calls = False
    small = {
        "PROXY_JOURNAL_MAX_BYTES": _SMALL,
        ring_setting(scene.build).replace("_DIR", "_BYTES"): _SMALL,
        "PROXY_TOKEN_DATABASE_URL": scene.url,
    }
    async with scene.sidecar(_AWAY, **small) as sidecar, _client() as client:
        await _get(client, sidecar, scene, "first")
        for _ in range(_BATCH):
            await _post(client, sidecar, _INVENTED, _BATCH)
        for number in range(_HONEST):
            await _get(client, sidecar, scene, str(number))
    found = await scene.written()
    return (
        f"{found['entries'] - 1:,} of {_HONEST:,} calls have an entry,"
        f" a gap tells of {found['gap']:,}"
    )


async def _tunnel(scene: Scene) -> str:
    hub = {"PROXY_HUB_URL": scene.neighbour_url, "PROXY_HUB_PORT": str(free_port())}
    async with scene.sidecar(scene.url, **hub) as sidecar, _client() as client:
        url = f"http://127.0.0.1:{hub['PROXY_HUB_PORT']}/tunnel"
        async with client.ws_connect(url) as podwarden:
            socket = await scene.neighbour.tunnel
            for number in range(_TUNNEL):
                await socket.send_str(_tool_calls(1, number))
            for _ in range(_TUNNEL):
                await podwarden.receive()
            os.kill(sidecar.process.pid, signal.SIGKILL)
    found = await scene.written()
    return (
        f"{found['hub']:,} of {_TUNNEL:,} tool calls have an entry,"
        f" a gap tells of {found['gap']:,} records"
    )


def _client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def _get(client: aiohttp.ClientSession, sidecar: Sidecar, scene: Scene, path: str) -> None:
    headers = {"Authorization": f"Bearer {scene.token}"}
    async with client.get(f"{sidecar.origin}/api/v1/{path}", headers=headers) as response:
        await response.read()


async def _post(client: aiohttp.ClientSession, sidecar: Sidecar, token: str, count: int) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = _tool_calls(count)
    async with client.post(f"{sidecar.origin}/mcp", headers=headers, data=body) as response:
        await response.read()


def _tool_calls(count: int, first: int = 0) -> str:
    calls = [
        {
            "jsonrpc": "2.0",
            "id": first + number,
            "method": "tools/call",
            "params": {"name": "list_clusters"},
        }
        for number in range(count)
    ]
    return json.dumps(calls if count > 1 else calls[0])


async def _count(database: Database, source: str, what: str = "count(*)") -> int:
    row = await database.fetch_row(f"SELECT {what} AS found FROM {source}")  # noqa: S608  ours
    assert row is not None
    return int(row["found"])


if __name__ == "__main__":
    main()
