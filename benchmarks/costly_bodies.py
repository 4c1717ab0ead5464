"""`python -m benchmarks.costly_bodies`: bodies made to be costly to read, in two builds.

Each shape is sent to the MCP path with an invented token, and the same bytes to another path.
"""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Final

import aiohttp
from aiohttp import web

from benchmarks.builds import OLD, THIS, checked_out
from benchmarks.options import parser
from benchmarks.process import BOTH_CORES, CHECKOUT, free_port
from benchmarks.results import publish, table
from benchmarks.sidecar import Sidecar, running_sidecar

_MEGABYTE: Final = 1_000_000
_AWAY: Final = "postgresql://nobody@127.0.0.1:1/none"
_HEADERS: Final = {"Authorization": "Bearer pwm_" + "i" * 43, "Content-Type": "application/json"}
_CALL: Final = b'{"id":1,"method":"tools/call","params":{"name":"x","arguments":['
_CANCEL: Final = b'{"method":"notifications/cancelled","params":{"requestId":1}},'
_SHAPES: Final[Mapping[str, bytes]] = {
    "commas": b"," * _MEGABYTE,
    "brackets": b"[" * _MEGABYTE,
    "empty objects": b"{}," * (_MEGABYTE // 3),
    "keys": b"{" + b'"a":1,' * (_MEGABYTE // 6),
    "cancellations": b"[" + _CANCEL * (_MEGABYTE // len(_CANCEL)),
    "nested arguments": _CALL + b"[" * _MEGABYTE,
    "pairs of brackets": _CALL + b"[]," * (_MEGABYTE // 3),
    "short strings": _CALL + b'"",' * (_MEGABYTE // 3),
    "long string": _CALL + b'"' + b"x" * _MEGABYTE,
    "escapes": _CALL + b'"' + b'\\"' * (_MEGABYTE // 2),
}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--revision", default=OLD, help="the older build")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--place", type=Path, required=True, help="an empty folder to work in")
    chosen = options.parse_args()
    rounds = 1 if chosen.short else chosen.rounds
    old = checked_out(chosen.revision, chosen.place / "old-build")
    builds = {chosen.revision: old, THIS: CHECKOUT}
    rows = asyncio.run(_measured(builds, chosen.place, rounds))
    publish(
        "Bodies that are costly to read",
        f"python -m benchmarks.costly_bodies --revision {chosen.revision} --rounds {rounds}",
        table(("1 MB of", "build", "MCP path, ms", "other path, ms", "ratio"), rows),
        chosen.results,
    )


async def _measured(
    builds: Mapping[str, Path], place: Path, rounds: int
) -> list[tuple[str, str, str, str, str]]:
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", _respond)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    rows = []
    try:
        for number, (name, build) in enumerate(builds.items()):
            folder = place / f"sidecar-{number}"
            folder.mkdir()
            running = running_sidecar(
                folder,
                upstream=f"http://127.0.0.1:{port}",
                database_url=_AWAY,
                core=BOTH_CORES,
                build=build,
            )
            sidecar = await asyncio.to_thread(running.__enter__)
            try:
                rows += [
                    (shape, name, *await _ratio(sidecar, body, rounds))
                    for shape, body in _SHAPES.items()
                ]
            finally:
                await asyncio.to_thread(running.__exit__, None, None, None)
    finally:
        await runner.cleanup()
    return sorted(rows, key=lambda row: list(_SHAPES).index(row[0]))


async def _ratio(sidecar: Sidecar, body: bytes, rounds: int) -> tuple[str, str, str]:
    took: dict[str, list[float]] = {"mcp": [], "other": []}
    async with aiohttp.ClientSession() as client:
        for _ in range(rounds):
            for path, times in took.items():
                began = time.perf_counter()
                async with client.post(
                    f"{sidecar.origin}/{path}", data=body, headers=_HEADERS
                ) as response:
                    await response.read()
                times.append((time.perf_counter() - began) * 1_000)
    mcp, other = median(took["mcp"]), median(took["other"])
    return f"{mcp:,.1f}", f"{other:,.1f}", f"{mcp / other:.1f}"


async def _respond(request: web.Request) -> web.Response:
    async for _ in request.content.iter_any():
        pass
    return web.json_response({}, status=401)


if __name__ == "__main__":
    main()
