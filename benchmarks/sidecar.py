"""The sidecar as a process on its own core, set up by its environment alone."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from benchmarks.environments import as_shipped
from benchmarks.process import CHECKOUT, PROXY_CORE, Process, children, running

_SETTLE_SECONDS: Final = 120
_PREFIX: Final = "podwarden_audit_"


class RecordsLostError(Exception):
    """What was measured did not record each call."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Where it is, and what it says of itself."""

    process: Process
    origin: str
    ops_origins: tuple[str, ...]
    """One for each worker."""

    @property
    def keeper(self) -> int:
        """The process that starts the recorder, which is its only child; with one worker."""
        return children(self.process.pid)[0]

    def metric(self, name: str) -> float:
        """Return the sum of a metric, such as `records_total{fate="written"}`, of all workers."""
        return sum(_metric(origin, name) for origin in self.ops_origins)

    def settle(self) -> None:
        """Wait until everything that was recorded is written; not for ever.

        Raises RecordsLostError.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        while self.metric("journal_unwritten_bytes") and time.monotonic() < deadline:
            time.sleep(0.1)
        if lost := self.metric('records_total{fate="lost"}'):
            raise RecordsLostError(f"{lost:g} records were lost: {self.process.log}")


@contextmanager
def running_sidecar(
    directory: Path,
    *,
    upstream: str,
    database_url: str,
    core: int | str = PROXY_CORE,
    build: Path | str = CHECKOUT,
    **settings: str,
) -> Iterator[Sidecar]:
    """Run the sidecar of *build* before *upstream*, with its files in *directory*."""
    workers = int(settings.get("PROXY_WORKERS", "1"))
    with tempfile.TemporaryDirectory(prefix="benchmark-ring-", dir="/dev/shm") as ring:
        environment = {
            "PYTHONPATH": str(build),
            "AUDIT_LOG_LOG_FORMAT": "json",
            "AUDIT_LOG_DATABASE_URL": database_url,
            "PROXY_UPSTREAM_URL": upstream,
            "PROXY_PORT": "0",
            "PROXY_OPS_PORT": "0",
            "PROXY_JOURNAL_DIR": str(directory / "journal"),
            ring_setting(build): ring,
            **settings,
        }
        command: list[str | Path] = [as_shipped() / "bin" / "python", "-m", "proxy"]
        with running(command, core=core, directory=directory, environment=environment) as process:
            process.wait_until(lambda: len(_started(process.log)) == workers)
            said = _started(process.log)
            yield Sidecar(
                process,
                f"http://127.0.0.1:{said[0]['port']}",
                tuple(f"http://127.0.0.1:{each['ops_port']}" for each in said),
            )


def ring_setting(build: Path | str) -> str:
    """Return what *build* calls the folder of its ring; before 0.2.0 that was its head."""
    said = (Path(build) / "proxy" / "settings.py").read_text()
    return "PROXY_JOURNAL_RING_DIR" if "journal_ring_dir" in said else "PROXY_JOURNAL_HEAD_DIR"


def _metric(ops_origin: str, name: str) -> float:
    with urlopen(f"{ops_origin}/metrics", timeout=10) as answer:  # noqa: S310  our own
        lines = answer.read().decode().splitlines()
    [value] = [line.split()[-1] for line in lines if line.startswith(f"{_PREFIX}{name} ")]
    return float(value)


def _started(log: Path) -> list[dict[str, Any]]:
    lines = [line for line in log.read_bytes().splitlines(keepends=True) if b"\n" in line]
    return [json.loads(line) for line in lines if b"service.started" in line]
