"""The upstream: where it is, and the connections to it that are kept for the next exchange."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from yarl import URL

from proxy.http.errors import UpstreamTimedOutError, UpstreamUnreachableError
from proxy.relay.upstream_connection import UpstreamConnection

log = structlog.get_logger(__name__)
MAX_IDLE_CONNECTIONS: Final = 256


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """How patient we are with the upstream."""

    connect_timeout_seconds: float
    answer_timeout_seconds: float
    idle_seconds: float


class Upstream:
    """Gives connections and takes them back. Never waits for a free one: it opens another."""

    def __init__(self, url: str, limits: UpstreamLimits, tls: ssl.SSLContext | None) -> None:
        """Reach the origin *url*, over *tls* if it is an https one."""
        parsed = URL(url)
        self._host, self._port = parsed.host or "", parsed.port or 0
        self._tls = tls
        self._limits = limits
        # Kept: to ask for it is a system call, and one more a call counts.
        self._loop = asyncio.get_running_loop()
        self._idle: list[UpstreamConnection] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._is_reachable = True

    async def connection(self) -> UpstreamConnection:
        """Return a connection for one request: the one used last, or a new one.

        Raises UpstreamUnreachableError and UpstreamTimedOutError.
        """
        return self.kept_connection() or await self.new_connection()

    def kept_connection(self) -> UpstreamConnection | None:
        """Return a kept connection that may be used, if there is one.

        A last look at the socket costs a microsecond: its end may have arrived already, or bytes
        that nobody asked for and that the next client must not take for its answer.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and not connection.has_unread_news():
                return connection
            connection.abort()
        return None

    async def new_connection(self) -> UpstreamConnection:
        """Return a connection that nobody has used. Raises as `connection` does."""
        try:
            async with asyncio.timeout(self._limits.connect_timeout_seconds):
                _, connection = await self._loop.create_connection(
                    lambda: UpstreamConnection(self._limits.answer_timeout_seconds),
                    self._host,
                    self._port,
                    ssl=self._tls,
                )
        except TimeoutError as error:
            raise UpstreamTimedOutError("the upstream could not be reached in time") from error
        except OSError as error:  # an ssl.SSLError is one too
            self._note_reachable(reason=str(error))
            # Not with the reason: it names addresses that are none of the client's business.
            raise UpstreamUnreachableError("the upstream cannot be reached") from error
        self._note_reachable(reason=None)
        return connection

    def _note_reachable(self, reason: str | None) -> None:
        """Tell the operator when that changes, and not at every call."""
        if (reason is None) == self._is_reachable:
            return
        self._is_reachable = reason is None
        if reason is None:
            log.info("upstream.became_reachable")
        else:
            log.warning("upstream.became_unreachable", reason=reason)

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep *connection* for another exchange if it can take one, else end it."""
        if not connection.is_reusable or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._limits.idle_seconds, self._end_long_idle)

    def close(self) -> None:
        """End the connections that nobody uses."""
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop().abort()

    def _end_long_idle(self) -> None:
        self._sweep = None
        oldest_allowed = self._loop.time() - self._limits.idle_seconds
        # The list is in order of idle_since: connections are appended when they fall idle.
        while self._idle and self._idle[0].idle_since <= oldest_allowed:
            self._idle.pop(0).abort()
        if self._idle:
            wait = self._idle[0].idle_since - oldest_allowed
            self._sweep = self._loop.call_later(wait, self._end_long_idle)


@asynccontextmanager
async def open_upstream(
    url: str, limits: UpstreamLimits, tls: ssl.SSLContext | None
) -> AsyncIterator[Upstream]:
    """Open the upstream at *url*, over *tls* if it is an https one; it need not be there yet."""
    upstream = Upstream(url, limits, tls)
    try:
        yield upstream
    finally:
        upstream.close()
