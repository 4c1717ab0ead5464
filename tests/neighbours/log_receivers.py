"""Receivers of pushed logs: OTLP over HTTP, told what to respond, and counted syslog."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import test_utils, web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from tests.neighbours.client import reset
from tests.neighbours.collector import values

LOGS: Final = "/v1/logs"
PATIENCE_SECONDS: Final = 30


class LogReceiver:
    """Takes what is pushed to it; `judge` may respond otherwise."""

    def __init__(self) -> None:
        self.url = ""
        self.taken: list[Any] = []
        """Records, in the order of their arrival, repeated ones too."""
        self.fields: dict[str, str] = {}
        """Header fields of the last request."""
        self.judge: Callable[[list[Any]], tuple[int, int]] = lambda _: (200, 0)
        """Returns the status for some records, and how many of them are rejected with a 200."""
        self.asked = 0
        self._changed = asyncio.Condition()

    @property
    def ids(self) -> list[str]:
        """The ids of what was taken, tests apart."""
        told = [values(record).get("podwarden.audit.id") for record in self.taken]
        return [id_ for id_ in told if id_ is not None]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return as soon as *is_so*, asked after each request."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(is_so)

    async def take(self, request: web.Request) -> web.Response:
        told = ExportLogsServiceRequest.FromString(await request.read())
        records = [
            record
            for each in told.resource_logs
            for scope in each.scope_logs
            for record in scope.log_records
        ]
        self.fields = dict(request.headers)
        status, rejected = self.judge(records)
        response = ExportLogsServiceResponse()
        if rejected:
            response.partial_success.rejected_log_records = rejected
            response.partial_success.error_message = "no such field"
        elif status == 200:
            self.taken += records
        self.asked += 1
        async with self._changed:
            self._changed.notify_all()
        return web.Response(status=status, body=response.SerializeToString())


@asynccontextmanager
async def receiving_logs() -> AsyncIterator[LogReceiver]:
    """Run a receiver of OTLP on a free port."""
    receiver = LogReceiver()
    app = web.Application(client_max_size=2**26)
    app.router.add_post(LOGS, receiver.take)
    async with test_utils.TestServer(app, host="127.0.0.1") as server:
        receiver.url = str(server.make_url(LOGS))
        yield receiver


class SyslogReceiver:
    """Reads counted messages; ends each connection in order, or resets it."""

    def __init__(self) -> None:
        self.port = 0
        self.messages: list[bytes] = []
        self.resets = 0
        """How many of the next connections it resets without reading, as a process that dies."""
        self._changed = asyncio.Condition()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return as soon as *is_so*, asked after each connection."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(is_so)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.resets:
            self.resets -= 1
            await reader.readexactly(1)
            reset(writer)
            return
        try:
            while length := await reader.readuntil(b" ") if not reader.at_eof() else b"":
                self.messages.append(await reader.readexactly(int(length)))
        except asyncio.IncompleteReadError as error:
            assert error.partial == b""  # at the end of the connection, not within a message
        writer.close()
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def receiving_syslog(tls: ssl.SSLContext | None = None) -> AsyncIterator[SyslogReceiver]:
    """Run a receiver of syslog on a free port."""
    receiver = SyslogReceiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver
