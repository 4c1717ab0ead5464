"""Real NATS servers with JetStream, alone or as a cluster whose network can be cut."""

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from nats.aio.client import Client

from tests.neighbours.hop import Hop, hop_to

BINARY: Final = Path(sys.executable).with_name("nats-server")
_NOWHERE: Final = "127.0.0.1:9"
_STOP_SECONDS: Final = 20


class NatsServer:
    """One server. It keeps its files and its port when it is killed and started again."""

    def __init__(self, name: str, directory: Path, port: int) -> None:
        self.name = name
        self.url = f"nats://127.0.0.1:{port}"
        self._directory = directory
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self.cluster = ""
        """The part of its configuration that makes it one of several."""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Run it. It may take a moment until it answers."""
        configuration = self._directory / "nats.conf"
        configuration.write_text(
            f"""
            server_name: {self.name}
            listen: "127.0.0.1:{self._port}"
            jetstream {{ store_dir: "{self._directory}", sync_interval: always }}
            {self.cluster}
            """
        )
        with (self._directory / "log").open("ab") as words:
            self._process = subprocess.Popen(
                [BINARY, "-c", configuration],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a crash would, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it hang: its connections stay, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


class NatsCluster:
    """Three servers, and between each two of them a stretch of network each way."""

    def __init__(self, servers: Sequence[NatsServer], hops: dict[tuple[str, str], Hop]) -> None:
        self.servers = servers
        self._hops = hops

    @property
    def urls(self) -> str:
        return ",".join(server.url for server in self.servers)

    async def leader(self, stream: str) -> NatsServer:
        """Return the server that leads *stream* now."""
        client = Client()
        await client.connect([server.url for server in self.servers])
        try:
            said = await client.jetstream().stream_info(stream)
        finally:
            await client.close()
        assert said.cluster is not None
        return next(server for server in self.servers if server.name == said.cluster.leader)

    @contextmanager
    def cut_off(self, server: NatsServer) -> Iterator[None]:
        """Let nothing through between *server* and the others. Clients still reach it."""
        hops = [hop for ends, hop in self._hops.items() if server.name in ends]
        for hop in hops:
            hop.black_hole()
        try:
            yield
        finally:
            for hop in hops:
                hop.cut()
                hop.restore()


@contextmanager
def running_nats() -> Iterator[NatsServer]:
    """Run one server with its files in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="nats-") as directory:
        server = NatsServer("alone", Path(directory), _free_ports(1)[0])
        server.start()
        try:
            yield server
        finally:
            server.kill()


@asynccontextmanager
async def running_cluster() -> AsyncIterator[NatsCluster]:
    """Run three servers that know one another by the stretches of network alone."""
    with tempfile.TemporaryDirectory(prefix="nats-") as directory:
        async with AsyncExitStack() as stack:
            names = ("n1", "n2", "n3")
            ports = _free_ports(2 * len(names))
            routes = dict(zip(names, ports[len(names) :], strict=True))
            hops = {
                (one, other): await stack.enter_async_context(
                    hop_to(f"nats-route://127.0.0.1:{routes[other]}")
                )
                for one in names
                for other in names
                if one != other
            }
            servers = []
            for name, port in zip(names, ports, strict=False):
                place = Path(directory) / name
                place.mkdir()
                server = NatsServer(name, place, port)
                stack.callback(server.kill)
                ways = [hop.port for (one, _), hop in hops.items() if one == name]
                server.cluster = _cluster(routes[name], ways)
                server.start()
                servers.append(server)
            yield NatsCluster(servers, hops)


def _cluster(port: int, ways: Sequence[int]) -> str:
    routes = " ".join(f'"nats-route://127.0.0.1:{way}"' for way in ways)
    # What servers tell one another of their addresses would lead around the stretches of network.
    return f"""
        cluster {{
            name: audit, listen: "127.0.0.1:{port}", advertise: "{_NOWHERE}", pool_size: -1
            routes: [{routes}]
        }}
    """


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
