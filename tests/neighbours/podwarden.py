"""PodWarden as far as the audit API needs it: it judges credentials, or fails to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import test_utils, web

JUDGING_PATH: Final = "/api/v1/settings/mcp-tokens"


@dataclass
class PodWarden:
    """Answers every question with `status`, once `answering` is set."""

    url: str = ""
    status: int = 200
    fields: Mapping[str, str] = field(default_factory=dict)
    responding: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first question, before it is answered."""
    asked: list[Mapping[str, str]] = field(default_factory=list)
    """The fields of each question, oldest first."""
    strayed: list[str] = field(default_factory=list)
    """Paths of questions that should never have been asked."""

    async def judge(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers)
        self.entered.set()
        await self.responding.wait()
        return web.Response(status=self.status, headers=self.fields, body=b"x" * 100_000)

    async def stray(self, request: web.Request) -> web.Response:
        self.strayed.append(request.path)
        return web.Response(status=200)


@asynccontextmanager
async def serving_podwarden(tls: ssl.SSLContext | None = None) -> AsyncIterator[PodWarden]:
    """Run a PodWarden that accepts everybody until told otherwise."""
    judge = PodWarden()
    judge.responding.set()
    app = web.Application()
    app.router.add_get(JUDGING_PATH, judge.judge)
    app.router.add_route("*", "/{elsewhere:.*}", judge.stray)
    server = test_utils.TestServer(app, host="127.0.0.1", scheme="https" if tls else "http")
    await server.start_server(ssl=tls)
    try:
        judge.url = str(server.make_url(JUDGING_PATH))
        yield judge
    finally:
        judge.responding.set()
        await server.close()
