"""`python -m benchmarks.writer`: how fast the journal gets into PostgreSQL.

The writer, journal and store of the sidecar, in this process, on the proxy's core.
"""

import argparse
import asyncio
import io
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from time import monotonic, process_time
from typing import Final

import asyncpg
import uvloop

from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.record import AuditRecord
from audit_log.tokens import Token
from benchmarks.calm import Patience, noticing_others
from benchmarks.database import running_database
from benchmarks.process import PROXY_CORE, end_in_order, pin
from benchmarks.records import Passage, records
from benchmarks.results import publish, table
from proxy.delivery.writer import Writer
from proxy.journal import Intake, Limits, open_journal

_COLUMNS: Final = (
    "id, token_id, token_name, method, path, status_code, created_at, outcome, duration_ms,"
    " client_ip, user_agent, instance"
)
_TMPFS: Final = Path("/dev/shm")  # noqa: S108  a tmpfs is what is wanted
_RING_BYTES: Final = 32 * 2**20
_MAX_BYTES: Final = 2**31
_ONE_BY_ONE: Final = 2_000
"""Records written with an INSERT each: they take long."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--records", type=int, default=200_000, help="in each round")
    parser.add_argument("--drain", type=int, default=1_000_000, help="records to drain at last")
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for calm")
    options = parser.parse_args()
    patience = Patience(options.patience)
    end_in_order()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        place = Path(directory)
        place.chmod(0o711)  # PostgreSQL's account must enter it
        with running_database(place / "database") as database:
            pin(os.getpid(), PROXY_CORE)
            found = uvloop.run(_measured(database.url, place, options, patience))
    publish(
        "How fast records get into PostgreSQL",
        f"python -m benchmarks.writer --rounds {options.rounds} --records {options.records}"
        f" --drain {options.drain}",
        found,
    )


async def _measured(url: str, place: Path, options: argparse.Namespace, patience: Patience) -> str:
    endless = records()
    ways: dict[str, Callable[[Sequence[AuditRecord]], Awaitable[Passage]]] = {
        "COPY": lambda taken: _copied(url, taken),
        "journal, writer, store": lambda taken: _written(url, place, taken),
        "store alone, 2,000 a call": lambda taken: _appended(url, taken, 2_000),
        "one INSERT each": lambda taken: _appended(url, taken[:_ONE_BY_ONE], 1),
    }
    found: dict[str, list[Passage]] = {name: [] for name in ways}
    shares: list[float] = []
    for number in range(options.rounds):
        for name, way in ways.items():
            taken = list(islice(endless, options.records))
            await asyncio.to_thread(patience.wait_for_calm)
            with noticing_others() as disturbance:
                writing = await way(taken)
            found[name].append(writing)
            shares.append(disturbance.share)
            print(f"round {number + 1}: {name}: {writing.per_second:,.0f} records/s", flush=True)
    drained = await _written(url, place, islice(endless, options.drain))
    return (
        f"{_table(found)}\n\nA journal of {drained.records:,} records is drained in"
        f" {drained.seconds:.1f} s ({drained.per_second:,.0f} records/s).\n"
        f"Others used {median(shares):.0%} of the machine in the median round."
    )


def _table(found: dict[str, list[Passage]]) -> str:
    rates = {name: median(way.per_second for way in ways) for name, ways in found.items()}
    return table(
        ("way", "records/s", "spread", "of COPY", "our CPU µs a record"),
        [
            (
                name,
                f"{rates[name]:,.0f}",
                f"{_spread([way.per_second for way in ways]):.0%}",
                f"{rates[name] / rates['COPY']:.3f}",
                f"{median(way.cpu_seconds / way.records for way in ways) * 1e6:.1f}",
            )
            for name, ways in found.items()
        ],
    )


def _spread(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / median(values)


async def _copied(url: str, taken: Sequence[AuditRecord]) -> Passage:
    """Copy lines that were made before: the server's lower bound."""
    lines = "".join(map(_copy_line, taken)).encode()
    connection = await asyncpg.connect(url)
    began, cpu = monotonic(), process_time()
    await connection.copy_to_table(
        "mcp_audit_log", source=io.BytesIO(lines), columns=_COLUMNS.split(", ")
    )
    writing = Passage(len(taken), monotonic() - began, process_time() - cpu)
    await connection.close()
    return writing


def _copy_line(record: AuditRecord) -> str:
    fields = [getattr(record, column.strip()) for column in _COLUMNS.split(",")]
    return "\t".join(r"\N" if field is None else str(field) for field in fields) + "\n"


async def _appended(url: str, taken: Sequence[AuditRecord], at_once: int) -> Passage:
    async with open_database(url, application="benchmark") as database:
        store = Store(database)
        began, cpu = monotonic(), process_time()
        for first in range(0, len(taken), at_once):
            await store.append(taken[first : first + at_once])
        return Passage(len(taken), monotonic() - began, process_time() - cpu)


async def _written(url: str, place: Path, taken: Iterable[AuditRecord]) -> Passage:
    limits = Limits(ring_bytes=_RING_BYTES, max_bytes=_MAX_BYTES)
    async with (
        open_database(url, application="benchmark") as database,
        open_journal(
            place / "journal", instance="sidecar-1", ring_directory=_TMPFS, limits=limits
        ) as (intake, journal),
    ):
        for record in taken:
            await _moved(intake, at_most=_RING_BYTES // 2)
            intake.offer(record)
        await _moved(intake, at_most=0)
        writer = Writer(journal, Store(database), _nobody)
        writer.drain()
        began, cpu = monotonic(), process_time()
        await writer.run()
        return Passage(writer.progress.written, monotonic() - began, process_time() - cpu)


async def _moved(intake: Intake, *, at_most: int) -> None:
    """Wait until all but *at_most* bytes of the journal are on the disk."""
    while intake.ring_bytes_in_use > at_most:  # noqa: ASYNC110  no event announces it
        await asyncio.sleep(0.01)


async def _nobody(hashes: Sequence[str]) -> dict[str, Token | None]:
    return dict.fromkeys(hashes)


if __name__ == "__main__":
    main()
