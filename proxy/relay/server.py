"""All client connections of one port, and how they come to their end."""

import asyncio
import ssl
from contextlib import suppress

from proxy.http.errors import TooManyClientsError
from proxy.http.own_response import response_to
from proxy.relay.client_connection import ClientConnection
from proxy.relay.client_limit import ClientLimit
from proxy.relay.handshake import Handshake
from proxy.relay.plan import Service


class RelayServer:
    """Makes a `ClientConnection` for each client, and ends those that are idle for long.

    It stands where aiohttp's runner expects its server: it is called for a protocol, and asked to
    stop by `pre_shutdown` and `shutdown`.
    """

    def __init__(
        self,
        service: Service,
        clients: ClientLimit,
        *,
        idle_seconds: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Serve requests by *service* to as many *clients* as are allowed on all ports.

        End connections on which nothing happens for *idle_seconds*.
        """
        self.service = service
        self.is_stopping = False
        self.clients = clients
        self._idle_seconds = idle_seconds
        self._tls = tls
        self._handshakes: set[Handshake] = set()
        self._connections: set[ClientConnection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        if self._sweep is None:
            self._plan_sweep()
        return ClientConnection(self) if self._tls is None else Handshake(self, self._tls)

    def handshake_began(self, handshake: Handshake) -> None:
        """Learn of a new connection that is not secured yet."""
        self._handshakes.add(handshake)
        if self.is_stopping or not self.clients.admit(handshake):
            handshake.make_room()

    def handshake_ended(
        self, handshake: Handshake, transport: asyncio.Transport | None, decrypted: bytes
    ) -> None:
        """Serve the client of *transport*, which has sent *decrypted*; None if it failed."""
        self._handshakes.discard(handshake)
        self.clients.leave(handshake)
        if transport is None:
            return
        connection = ClientConnection(self)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if decrypted:
            connection.data_received(decrypted)

    def made(self, connection: ClientConnection) -> None:
        """Learn of a new connection."""
        self._connections.add(connection)
        if not self.clients.admit(connection):
            refusal = TooManyClientsError("too many clients are connected: try again")
            connection.flow.write(response_to(refusal, keeps_alive=False))
            connection.flow.transport.close()
        elif self.is_stopping:  # accepted in the last moment
            connection.stop()

    def lost(self, connection: ClientConnection) -> None:
        """Learn that a connection has ended."""
        self.clients.leave(connection)
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def pre_shutdown(self) -> None:
        """Take no more requests; end what is idle."""
        self.is_stopping = True
        if self._sweep is not None:
            self._sweep.cancel()
        for handshake in self._handshakes:
            handshake.make_room()
        for connection in list(self._connections):
            connection.stop()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  aiohttp's
        """Wait for the exchanges in flight, at most *timeout* seconds; then end them."""
        if self._connections:
            self._empty.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._empty.wait()
        for connection in list(self._connections):
            connection.stop_now()

    def _plan_sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(self._idle_seconds / 2, self._end_idle)

    def _end_idle(self) -> None:
        """End what has been idle for long. A client that does not complete a head is idle."""
        oldest_allowed = asyncio.get_running_loop().time() - self._idle_seconds
        for connection in list(self._connections):
            if connection.is_idle and connection.idle_since < oldest_allowed:
                connection.stop()
        self._plan_sweep()
