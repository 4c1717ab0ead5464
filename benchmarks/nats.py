"""`python -m benchmarks.nats`: how fast records get into a NATS stream, and out into PostgreSQL.

The publisher and the ingest, in this process, on the proxy's core. Three servers keep each record;
they share the other core with PostgreSQL, so that a cluster of three machines can do more.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from statistics import median
from time import monotonic, process_time
from typing import Final

import uvloop

from audit_log.errors import StoreUnavailableError
from audit_log.nats.ingest import Ingest
from audit_log.nats.jetstream import JetStream, open_jetstream
from audit_log.nats.publisher import Publisher
from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.process.settings import NatsSettings
from audit_log.record import AnyRecord
from audit_log.tokens import Token
from benchmarks.calm import Patience, noticing_others
from benchmarks.database import running_database
from benchmarks.options import parser
from benchmarks.process import CLIENT_CORE, PROXY_CORE, end_in_order, pin
from benchmarks.records import Passage, records
from benchmarks.results import publish, table
from proxy.journal.batch_source import MAX_BATCH_LINES
from tests.neighbours.nats_server import running_servers

_START_SECONDS: Final = 60
_SYNCHRONISED: Final = {
    "published, on three disks before the answer": "always",
    "published, on the disks within two minutes": "2m",
}
_INGESTED: Final = "ingested by one process"


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--records", type=int, default=100_000, help="in each round")
    chosen = options.parse_args()
    rounds, count = (1, 5_000) if chosen.short else (chosen.rounds, chosen.records)
    patience = Patience(0 if chosen.short else chosen.patience)
    end_in_order()
    found: dict[str, list[Passage]] = {way: [] for way in (*_SYNCHRONISED, _INGESTED)}
    shares: list[float] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        place = Path(directory)
        place.chmod(0o711)  # PostgreSQL's account must enter it
        with running_database(place / "database") as database:
            pin(os.getpid(), PROXY_CORE)
            for number in range(rounds):
                for way, sync_interval in _SYNCHRONISED.items():
                    patience.wait_for_calm()
                    with _servers(sync_interval) as settings, noticing_others() as disturbance:
                        passed = uvloop.run(_there(settings, database.url, count))
                    shares.append(disturbance.share)
                    for name, passage in zip((way, _INGESTED), passed, strict=True):
                        found[name].append(passage)
                        print(f"round {number + 1}: {name}: {passage.per_second:,.0f} records/s")
    publish(
        "How fast records get through NATS",
        f"python -m benchmarks.nats --rounds {rounds} --records {count}",
        f"{_table(found)}\n\nOthers used {median(shares):.0%} of the machine in the median round.",
        chosen.results,
    )


@contextmanager
def _servers(sync_interval: str) -> Iterator[NatsSettings]:
    with running_servers(sync_interval=sync_interval) as servers:
        for server in servers:
            pin(server.pid, CLIENT_CORE)
        yield NatsSettings.model_validate({"urls": ",".join(server.url for server in servers)})


async def _there(settings: NatsSettings, url: str, count: int) -> tuple[Passage, Passage]:
    """Publish *count* records, and then bring them into PostgreSQL."""
    taken = list(islice(records(), count))
    async with (
        open_database(url, application="benchmark") as database,
        open_jetstream(settings) as jetstream,
    ):
        await _made(jetstream)
        began, cpu = monotonic(), process_time()
        publisher = Publisher(jetstream)
        for first in range(0, count, MAX_BATCH_LINES):
            await publisher.append(taken[first : first + MAX_BATCH_LINES])
        published = Passage(count, monotonic() - began, process_time() - cpu)
        return published, await _ingested(jetstream, Store(database), count)


async def _made(jetstream: JetStream) -> None:
    """Wait until the servers have found one another and the stream is there."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            with suppress(StoreUnavailableError):
                await jetstream.fetch()
                return
            await asyncio.sleep(0.2)


async def _ingested(jetstream: JetStream, store: Store, count: int) -> Passage:
    stored = _Counted(store, count)
    ingest = Ingest(jetstream, stored, _nobody)
    began, cpu = monotonic(), process_time()
    task = asyncio.create_task(ingest.run())
    await stored.everything.wait()
    passage = Passage(count, monotonic() - began, process_time() - cpu)
    task.cancel()
    await asyncio.wait({task})
    return passage


class _Counted:
    """A store that tells when it has so many records."""

    def __init__(self, store: Store, count: int) -> None:
        self._store = store
        self._missing = count
        self.everything = asyncio.Event()
        self.reach, self.identity, self.has = store.reach, store.identity, store.has
        self.append_invocations = store.append_invocations
        self.append_gaps, self.append_sealed = store.append_gaps, store.append_sealed

    async def append(self, records: Sequence[AnyRecord]) -> None:
        await self._store.append(records)
        self._missing -= len(records)
        if self._missing <= 0:
            self.everything.set()


def _table(found: dict[str, list[Passage]]) -> str:
    return table(
        ("way", "records/s", "spread", "our CPU µs a record"),
        [
            (
                name,
                f"{median(rates):,.0f}",
                f"{(max(rates) - min(rates)) / median(rates):.0%}",
                f"{median(way.cpu_seconds / way.records for way in ways) * 1e6:.1f}",
            )
            for name, ways in found.items()
            if (rates := [way.per_second for way in ways])
        ],
    )


async def _nobody(hashes: Sequence[str]) -> dict[str, Token | None]:
    return dict.fromkeys(hashes)


if __name__ == "__main__":
    main()
