"""Real NATS servers with JetStream, alone or as a cluster whose network can be cut."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from itertools import permutations
from pathlib import Path
from typing import Final

from nats.aio.client import Client

from tests.neighbours.hop import Hop, hop_to
from tests.neighbours.memory import directory_in_memory
from tests.neighbours.ports import free_port, free_ports

BINARY: Final = Path(sys.executable).with_name("nats-server")
NAMES: Final = ("n1", "n2", "n3")
_NOWHERE: Final = "127.0.0.1:9"
_STOP_SECONDS: Final = 20
_MAX_BYTES: Final = 1 << 40
"""What its streams may reserve. Otherwise it is a part of the free disk, which differs."""


class NatsServer:
    """One server. It keeps its files and its port when it is killed and started again."""

    def __init__(self, name: str, directory: Path, port: int) -> None:
        self.name = name
        self.url = f"nats://127.0.0.1:{port}"
        self._directory = directory
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self.sync_interval = "always"
        """Its `sync_interval`: when it syncs to disk. `always` syncs before it confirms."""
        self.configuration = ""
        """What it is told besides where it listens and keeps its files."""
        self.store = directory / "jetstream"
        """Where its streams are."""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it. It may not be ready yet on return."""
        configuration = self._directory / "nats.conf"
        configuration.write_text(
            f"""
            server_name: {self.name}
            listen: "127.0.0.1:{self._port}"
            jetstream {{
                store_dir: "{self._directory}", sync_interval: {self.sync_interval}
                max_file_store: {_MAX_BYTES}
            }}
            {self.configuration}
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
        """Stop its process (SIGSTOP): its connections stay, and it sends nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # The last of its threads has stopped when this returns; it reaps nothing.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


class NatsCluster:
    """Three servers, and between each two of them a hop each way."""

    def __init__(self, servers: Sequence[NatsServer], hops: dict[tuple[str, str], Hop]) -> None:
        self.servers = servers
        self._hops = hops

    @property
    def urls(self) -> str:
        return ",".join(server.url for server in self.servers)

    async def leader(self, stream: str, *, without: NatsServer | None = None) -> NatsServer:
        """Return the server that leads *stream*, as the servers but *without* say."""
        client = Client()
        await client.connect([server.url for server in self.servers if server is not without])
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
def running_nats(configuration: str = "") -> Iterator[NatsServer]:
    """Run one server with its files in a directory of its own."""
    with directory_in_memory("nats-") as directory:
        server = NatsServer("alone", directory, free_port())
        server.configuration = configuration
        server.start()
        try:
            yield server
        finally:
            server.kill()


@asynccontextmanager
async def running_cluster() -> AsyncIterator[NatsCluster]:
    """Run three servers that reach one another only by hops."""
    async with AsyncExitStack() as stack:
        routes = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
        hops = {
            (one, other): await stack.enter_async_context(
                hop_to(f"nats-route://127.0.0.1:{routes[other]}")
            )
            for one, other in permutations(NAMES, 2)
        }
        ways = {ends: hop.port for ends, hop in hops.items()}
        yield NatsCluster(stack.enter_context(running_servers(routes, ways)), hops)


@contextmanager
def running_servers(
    routes: Mapping[str, int] | None = None,
    ways: Mapping[tuple[str, str], int] | None = None,
    sync_interval: str = "always",
) -> Iterator[list[NatsServer]]:
    """Run three servers. *routes* are their ports for one another, *ways* lead there."""
    routes = routes or dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    ways = ways or {(one, other): routes[other] for one, other in permutations(NAMES, 2)}
    with directory_in_memory("nats-") as directory, ExitStack() as stack:
        servers = []
        for name, port in zip(NAMES, free_ports(len(NAMES)), strict=True):
            place = directory / name
            place.mkdir()
            server = NatsServer(name, place, port)
            stack.callback(server.kill)
            server.sync_interval = sync_interval
            server.configuration = _cluster(
                routes[name], [way for (one, _), way in ways.items() if one == name]
            )
            server.start()
            servers.append(server)
        yield servers


def _cluster(port: int, ways: Sequence[int]) -> str:
    routes = ", ".join(f'"nats-route://127.0.0.1:{way}"' for way in ways)
    # What servers tell one another of their addresses would lead around the stretches of network.
    return f"""
        cluster {{
            name: audit, listen: "127.0.0.1:{port}", advertise: "{_NOWHERE}", pool_size: -1
            routes: [{routes}]
        }}
    """
