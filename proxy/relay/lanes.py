"""The two lanes behind one port: which connection is where, and how all come to their end."""

import asyncio

from proxy.relay.express import ExpressConnection, ExpressLane
from proxy.relay.listener import Listeners


class Lanes:
    """Begins every connection in the express lane; the general lane takes what is handed over.

    It stands where aiohttp's runner expects a server: it makes protocols, and is asked to stop.
    """

    def __init__(self, express: ExpressLane, general: Listeners, *, idle_seconds: float) -> None:
        """End connections of the express lane on which nothing happens for *idle_seconds*."""
        self._express = express
        self._general = general
        self._idle_seconds = idle_seconds
        self._connections: set[ExpressConnection] = set()
        self._sweep: asyncio.TimerHandle | None = None

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        if self._sweep is None:
            self._plan_sweep()
        return ExpressConnection(self._express, self._connections, self._hand_over)

    def pre_shutdown(self) -> None:
        """Take up nothing more; end what is idle."""
        if self._sweep is not None:
            self._sweep.cancel()
        self._general.pre_shutdown()
        for connection in list(self._connections):
            connection.stop_when_idle()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  aiohttp's
        """Wait for the exchanges that are going on, at most *timeout* seconds; then end them."""
        await asyncio.gather(self._general.shutdown(timeout), self._end_express(timeout))

    async def _end_express(self, seconds: float | None) -> None:
        leaving = [connection.leaving() for connection in self._connections]
        if leaving:
            await asyncio.wait(leaving, timeout=seconds)
        for connection in list(self._connections):
            connection.stop_now()

    def _hand_over(self, connection: ExpressConnection, received: bytes) -> None:
        transport, listener = connection.transport, self._general()
        transport.set_protocol(listener)
        listener.connection_made(transport)
        if connection.writing_paused:
            listener.pause_writing()
        transport.resume_reading()
        listener.data_received(received)

    def _plan_sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(self._idle_seconds / 2, self._end_idle)

    def _end_idle(self) -> None:
        """End what has been idle for long; who began and sends no request counts as idle."""
        oldest_allowed = asyncio.get_running_loop().time() - self._idle_seconds
        for connection in list(self._connections):
            if not connection.is_busy and connection.idle_since < oldest_allowed:
                connection.transport.close()
        self._plan_sweep()
