"""Load: each request after the last response (closed loop), or at a fixed rate (open loop)."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from benchmarks.process import CHECKOUT, CLIENT_CORE

PATH: Final = "/api/v1/clusters?limit=20"
_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_ON_CLIENT_CORE: Final = ("taskset", "-c", str(CLIENT_CORE))
_SPARE_SECONDS: Final = 90


class BadAnswersError(Exception):
    """Some responses were not 200, so the rate means nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked, again and again."""

    origin: str
    token: str | None = None
    varies: bool = False
    """Whether no two heads are alike: path, query, token, request id and trace differ."""
    path: str = PATH
    tokens: Path | None = None
    """A file of tokens, one a line, used in turn in place of *token*."""
    body: str = ""
    """`sized:N` or `chunked:N`: each request is a POST of N bytes; in the closed loop only."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `as_json` wrote."""
        values = json.loads(text)
        tokens = values.pop("tokens")
        return cls(**values, tokens=Path(tokens) if tokens else None)

    def as_json(self) -> str:
        """Return all of it, for a process that is to ask it."""
        return json.dumps(asdict(self), default=str)

    @property
    def repeated(self) -> Self:
        """The same, with one head each time."""
        return replace(self, varies=False, tokens=None)

    @property
    def url(self) -> str:
        """The address."""
        return self.origin + self.path

    @property
    def fields(self) -> dict[str, str]:
        """The request's fields, as an HTTP library of today sends them."""
        fields = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": "python-httpx/0.28.1",
        }
        return fields | ({"Authorization": f"Bearer {self.token}"} if self.token else {})


@dataclass(frozen=True, slots=True)
class Answers:
    """The responses of a target."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    p999_ms: float = 0
    bad: int = 0
    more: Mapping[str, float] = field(default_factory=dict)
    """What was measured at the same time, by name."""


def closed_loop(target: Target, *, connections: int, seconds: float) -> Answers:
    """Ask *target* on *connections*, one request at a time on each; raise BadAnswersError."""
    fields = [part for name, value in target.fields.items() for part in ("-H", f"{name}: {value}")]
    return _answers(
        *("wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s"),
        *("-s", str(_SCRIPT), *fields, target.url, "--", "varying" if target.varies else ""),
        *(str(target.tokens or ""), target.body),
        seconds=seconds,
    )


def open_loop(target: Target, *, per_second: float, seconds: float) -> Answers:
    """Ask *target* at a fixed rate, whether or not it keeps up; raise BadAnswersError.

    Times count from the moment at which a request was due, so that waiting is counted.
    """
    return _answers(
        *(sys.executable, "-m", "benchmarks.open_loop", target.as_json()),
        *(str(per_second), str(seconds)),
        seconds=seconds,
    )


def echoed(target: Target, *, size: int, seconds: float) -> Answers:
    """Have WebSocket messages of *size* bytes echoed by *target*; a response is a message."""
    return _answers(
        *(sys.executable, "-m", "benchmarks.echo", target.origin, target.token or ""),
        *(str(size), str(seconds)),
        seconds=seconds,
    )


def called(target: Target, *, tool: str, seconds: float) -> Answers:
    """Call the MCP *tool* at *target*, again and again; a response is a call."""
    return _answers(
        *(sys.executable, "-m", "benchmarks.mcp_caller", target.origin, target.token or ""),
        *(tool, str(seconds)),
        seconds=seconds,
    )


def downloaded(target: Target) -> Answers:
    """Fetch *target* once, into nothing; a response is a MB (10^6 bytes)."""
    return _transferred(target, "%{size_download}")


def uploaded(target: Target, file: Path) -> Answers:
    """Send *file* to *target*; a response is a MB (10^6 bytes)."""
    return _transferred(target, "%{size_upload}", "-T", str(file))


def _transferred(target: Target, size: str, *options: str) -> Answers:
    done = subprocess.run(
        [
            *(*_ON_CLIENT_CORE, "curl", "--silent", "--show-error", "--fail", "--max-time", "120"),
            *("-o", "/dev/null", "-w", f"{size} %{{time_total}} %{{time_starttransfer}}"),
            *("-H", f"Authorization: Bearer {target.token}", "-H", "Expect:", *options),
            target.url,
        ],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    transferred, seconds, first = map(float, done.stdout.split())
    megabytes = transferred / 1e6
    return Answers(
        int(megabytes), megabytes / seconds, first * 1e3, seconds * 1e3, max_ms=seconds * 1e3
    )


def _answers(*command: str, seconds: float) -> Answers:
    done = subprocess.run(
        [*_ON_CLIENT_CORE, *command],
        cwd=CHECKOUT,
        timeout=seconds + _SPARE_SECONDS,
        stdout=subprocess.PIPE,
        check=True,
    )
    answers = Answers(**json.loads(done.stdout.splitlines()[-1]))
    if answers.bad or not answers.requests:
        raise BadAnswersError(f"{answers} from {command}")
    return answers
