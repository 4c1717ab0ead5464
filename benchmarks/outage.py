"""`python -m benchmarks.outage`: memory of the sidecar while PostgreSQL is away, at full load."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from benchmarks.load import Target, closed_loop
from benchmarks.options import parser
from benchmarks.ours import HEADS
from benchmarks.process import Process
from benchmarks.results import publish, table
from benchmarks.sidecar import Sidecar
from benchmarks.stage import open_stage

_CONNECTIONS: Final = 32
_SAMPLES: Final = 200
_ROWS: Final = 10
_ACCEPTED: Final = 'records_total{fate="accepted"}'
_LOST: Final = 'records_total{fate="lost"}'


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=int, default=600)
    chosen = options.parse_args()
    seconds = 3 if chosen.short else chosen.seconds
    with _sidecar_without_database() as (sidecar, target):
        before = sidecar.metric(_ACCEPTED)
        with _sampled(sidecar.process, seconds / _SAMPLES) as samples:
            answers = closed_loop(target, connections=_CONNECTIONS, seconds=seconds)
        kept, lost = sidecar.metric(_ACCEPTED) - before, sidecar.metric(_LOST)
        size = sidecar.metric("journal_unwritten_bytes") / kept
    publish(
        "Memory during an outage of PostgreSQL",
        f"python -m benchmarks.outage --seconds {seconds}",
        f"The sidecar took {max(mib for _, mib in samples):.0f} MiB at most.\n"
        f"{answers.requests:,} calls were answered, {answers.per_second:,.0f} a second,"
        f" p99 {answers.p99_ms:.1f} ms.\n"
        f"The journal kept {kept:,.0f} records and had no room for {lost:,.0f}."
        f" A record took {size:.0f} bytes: a GiB holds {2**30 / size:,.0f} of them.",
        chosen.results,
        details=f"{_table(samples)}\n\n{HEADS}",
    )


@contextmanager
def _sidecar_without_database() -> Iterator[tuple[Sidecar, Target]]:
    """Yield a sidecar that knows the target's token, and whose PostgreSQL has just been killed."""
    with open_stage() as stage:
        database = stage.database("database")
        sidecar = stage.sidecar("sidecar", database.url)
        target = database.target(sidecar.origin)
        closed_loop(target, connections=_CONNECTIONS, seconds=5)
        sidecar.settle()
        database.server.kill()
        yield sidecar, target


@contextmanager
def _sampled(process: Process, interval: float) -> Iterator[list[tuple[float, float]]]:
    """Yield a list that fills with seconds and MiB (PSS), while the block runs."""
    samples: list[tuple[float, float]] = []
    ended = threading.Event()

    def sample() -> None:
        began = time.monotonic()
        while not ended.wait(interval):
            samples.append((time.monotonic() - began, process.memory_bytes / 2**20))

    thread = threading.Thread(target=sample, name="memory")
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def _table(samples: Sequence[tuple[float, float]]) -> str:
    """Return the highest sample of each tenth of the time."""
    size = max(1, len(samples) // _ROWS)
    parts = [samples[first : first + size] for first in range(0, len(samples), size)]
    return table(
        ("until", "most MiB (PSS)"),
        [(f"{part[-1][0]:.0f} s", f"{max(mib for _, mib in part):.1f}") for part in parts],
    )


if __name__ == "__main__":
    main()
