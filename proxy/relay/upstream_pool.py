"""The upstream: its address, and the idle connections kept for the next exchange."""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final

import structlog
from yarl import URL

from audit_log.process.changes import LoggedState
from proxy.http.errors import UpstreamTimedOutError, UpstreamUnreachableError
from proxy.relay.tls import secured
from proxy.relay.upstream_connection import UpstreamConnection

log = structlog.get_logger(__name__)
MAX_IDLE_CONNECTIONS: Final = 256


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """How patient we are with the upstream."""

    connect_timeout_seconds: float
    response_timeout_seconds: float
    idle_seconds: float
    max_idle: int = MAX_IDLE_CONNECTIONS
    """How many idle connections are kept."""


class Upstream:
    """Lends connections. Never waits for a free one: it opens another."""

    def __init__(self, url: str, limits: UpstreamLimits, tls: ssl.SSLContext | None) -> None:
        """Reach the origin *url*, over *tls* if it is an https one; it need not be there yet.

        To be closed when no exchange is in progress any more.
        """
        parsed = URL(url)
        self._host, self._port = parsed.host or "", parsed.port or 0
        self._tls = tls
        self._limits = limits
        # Kept: to ask for it is a system call before Python 3.12.
        self._loop = asyncio.get_running_loop()
        self._idle: list[UpstreamConnection] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._reachable = LoggedState(
            log, fails="upstream.became_unreachable", works="upstream.became_reachable"
        )

    def idle_connection(self) -> UpstreamConnection | None:
        """Return an idle connection that may be used: the one used last; None if there is none.

        A last look at the socket costs a microsecond: its end may have arrived already, or bytes
        without a request, which the next client must not take for its response.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and not connection.unread.is_there():
                return connection
            connection.abort()
        return None

    async def new_connection(self) -> UpstreamConnection:
        """Return a connection without an earlier exchange.

        Raises UpstreamUnreachableError and UpstreamTimedOutError.
        """
        try:
            async with asyncio.timeout(self._limits.connect_timeout_seconds):
                connection = UpstreamConnection(self._limits.response_timeout_seconds)
                await self._connect(connection)
        except TimeoutError as error:
            raise UpstreamTimedOutError("the upstream could not be reached in time") from error
        except (OSError, UnicodeError) as error:  # an ssl.SSLError; a name that IDNA cannot encode
            self._reachable.note(str(error))
            # Without the reason: it names addresses, which the client must not learn.
            raise UpstreamUnreachableError("the upstream cannot be reached") from error
        self._reachable.note(None)
        return connection

    async def _connect(self, connection: UpstreamConnection) -> None:
        if self._tls is None:
            await self._loop.create_connection(lambda: connection, self._host, self._port)
            return
        raw, _ = await self._loop.create_connection(asyncio.Protocol, self._host, self._port)
        try:
            await secured(raw, connection, self._tls, self._host)
        except BaseException:
            raw.abort()
            raise

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep *connection* for another exchange if it can take one, else end it."""
        if not connection.is_reusable or len(self._idle) >= self._limits.max_idle:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._limits.idle_seconds, self._end_long_idle)

    def close(self) -> None:
        """End the idle connections."""
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop().abort()

    def _end_long_idle(self) -> None:
        self._sweep = None
        oldest_allowed = self._loop.time() - self._limits.idle_seconds
        # The list is in order of idle_since: a connection is appended when it becomes idle.
        while self._idle and self._idle[0].idle_since <= oldest_allowed:
            self._idle.pop(0).abort()
        if self._idle:
            wait = self._idle[0].idle_since - oldest_allowed
            self._sweep = self._loop.call_later(wait, self._end_long_idle)
