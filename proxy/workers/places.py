"""Where the workers keep their journals, and where they listen."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

from proxy.settings import ProxySettings

_WORKER: Final = "worker-"
_PORTS_OF_OTHERS: Final = frozenset({8108, 8110})
"""The default ports of the ingest's health and of the audit API, which may run beside us."""


@dataclass(frozen=True, slots=True)
class Place:
    """The journal folder of a sidecar, and its instance name in records."""

    journal: Path
    instance: str


def place_of(number: int, journal_dir: Path, instance: str) -> Place:
    """Return the place of the worker *number* under a supervisor with these settings."""
    return Place(journal_dir / f"{_WORKER}{number}", f"{instance}/{number}")


def known_places(journal_dir: Path, instance: str) -> list[Place]:
    """Return the place of a single sidecar, and of each worker whose folder exists."""
    found = [path.name.removeprefix(_WORKER) for path in journal_dir.glob(f"{_WORKER}*")]
    numbers = sorted(int(number) for number in found if number.isdecimal())
    workers = [place_of(number, journal_dir, instance) for number in numbers]
    return [Place(journal_dir, instance), *workers]


def ops_ports(settings: ProxySettings) -> list[int]:
    """Return the ops port of each worker: they count up from the first, past ports in use."""
    if settings.ops_port == 0:
        return [0] * settings.workers
    hub_ports = {settings.hub_port} if settings.hub_url is not None else set()
    in_use = _PORTS_OF_OTHERS | {settings.port} | hub_ports
    return list(islice(_free(settings.ops_port, in_use), settings.workers))


def _free(first: int, in_use: frozenset[int] | set[int]) -> Iterator[int]:
    yield first
    yield from (port for port in count(first + 1) if port not in in_use)
