"""What the recorder consists of, opened in this order and closed in reverse."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import uvloop
from prometheus_client.registry import Collector

from audit_log.postgres.database import Database, open_database
from audit_log.postgres.seal.seal_tables import SealTables
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.process.disk_thread import in_disk_thread
from audit_log.process.settings import AuditLogSettings, NatsSettings
from audit_log.schema.partitions import PartitionUpkeep
from proxy.delivery.orphaned import draining_orphaned
from proxy.delivery.replaced_store import Destination, ReplacedStore
from proxy.delivery.retention import RetentionUpkeep
from proxy.delivery.writer import Writer, writing
from proxy.journal import Journal, Limits, Parts, reading
from proxy.journal.rings.orphaned_rings import name_orphaned_rings
from proxy.journal.rings.placement import ring_directories
from proxy.recorder.follower import Follower
from proxy.recorder.keeper import ORPHAN_SECONDS
from proxy.recorder.page import Page, Report
from proxy.recorder.record_metrics import (
    AnchorCollector,
    ForecastCollector,
    ObserverCollector,
    PartitionCollector,
    RecordCollector,
    SealCollector,
    added_up,
    counters,
    families,
)
from proxy.seal.anchoring import anchoring, offering, say_where_anchored
from proxy.seal.checkpoints import sealing
from proxy.seal.seal import Seal
from proxy.settings import APPLICATION, ProxySettings
from proxy.telemetry.health import Health, Part, problem_of
from proxy.telemetry.observers import Fates, Observers, observing

_LOOK_SECONDS: Final = 0.05


def limits_of(settings: ProxySettings) -> Limits:
    """Return how much the journal may take, as *settings* say."""
    return Limits(
        ring_bytes=settings.journal_ring_bytes,
        max_bytes=settings.journal_max_bytes,
        kept_seconds=settings.journal_kept_seconds,
    )


def record(
    shared: AuditLogSettings,
    settings: ProxySettings,
    nats: NatsSettings | None,
    parts: Parts,
    page: Page,
    leash: int,
) -> None:
    """Record, as a process of its own, until the proxy has ended, and then what it has left.

    *leash* is a pipe that closes when the proxy is killed. Raise OSError when the new file of a
    ring that was removed cannot be opened.
    """
    parts.go_on()
    uvloop.run(_until_ended(shared, settings, nats, parts, page, leash))


async def _until_ended(
    shared: AuditLogSettings,
    settings: ProxySettings,
    nats: NatsSettings | None,
    parts: Parts,
    page: Page,
    leash: int,
) -> None:
    loop, orphaned = asyncio.get_running_loop(), asyncio.Event()

    def let_go() -> None:
        loop.remove_reader(leash)
        orphaned.set()
        # Nothing is lost with what is cut off here: it is as a kill.
        loop.call_later(ORPHAN_SECONDS, os._exit, 0)

    loop.add_reader(leash, let_go)
    async with recording(shared, settings, nats, parts, page):
        # Between the processes there is only memory, which wakes no one.
        while not parts.ring.is_ended and not orphaned.is_set():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def recording(
    shared: AuditLogSettings,
    settings: ProxySettings,
    nats: NatsSettings | None,
    parts: Parts,
    page: Page,
) -> AsyncIterator[None]:
    """Bring what is in the journal of *parts* to the store beside the block; report on *page*.

    The store is PostgreSQL, or the stream of *nats* if given. At the end what is left is written,
    for `stop_seconds` at most, and the journal is closed.
    """
    health, instance, fates = Health(), settings.instance_name, Fates()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        journal = await enter(
            reading(parts, instance, limits_of(settings), close_seconds=settings.stop_seconds)
        )
        report = _Report(health, [])
        # Before the others, and so also while they end: a recorder without a report is hung.
        tell = partial(_tell, page, health, journal, report.collectors)
        _ = await enter(health.tasks.running(tell, "report"))
        places = ring_directories(settings.journal_dir, settings.journal_ring_dir)
        # Not awaited: a folder that a ring names may lie on a disk that hangs.
        _ = in_disk_thread("orphaned-rings", name_orphaned_rings, places[:1])
        observers = await enter(observing(settings, instance, fates, health))
        await enter(_following(parts, observers, health))
        gap_found = observers.gap_found
        database, partitions = await _database(stack, shared, health)
        retention = await _retention(stack, shared, database, observers, health)
        sink: Destination = Store(database) if nats is None else await _publisher(stack, nats)
        # With NATS the ingest resolves names: it can wait for the token table.
        tokens = await _tokens(stack, settings, database) if nats is None else None
        find = tokens.find_together if tokens else None
        seal = await _seal(stack, settings, parts, sink, database, report)
        writer = Writer(journal, sink, find, gap_found, ReplacedStore(sink, journal), seal)
        _ = await enter(writing(writer, health.tasks, drain_seconds=settings.stop_seconds))
        orphaned = await enter(
            draining_orphaned(shared, settings, instance, health.tasks, gap_found)
        )
        health.problems.append(lambda: writer.quarantined_lately)
        report.add(
            [writer, journal, retention, partitions, orphaned],
            RecordCollector(journal, writer, health.tasks),
            ForecastCollector(retention),
            PartitionCollector(partitions),
            ObserverCollector(fates),
        )
        yield


@asynccontextmanager
async def _following(parts: Parts, observers: Observers, health: Health) -> AsyncIterator[None]:
    """Tell *observers* of calls beside the block, and at its end of the last ones."""
    if not observers.call_ended:
        parts.ring.observed = parts.ring.written
        yield
        return
    follower = Follower(parts.ring, observers)
    async with health.tasks.running(follower.run, "observers"):
        yield
    follower.tell_rest()


async def _tell(
    page: Page, health: Health, journal: Journal, collectors: Sequence[Collector]
) -> None:
    """Show on *page* how the recorder is, for ever.

    It counts on from where a recorder before it was killed: a sum that falls is taken for a
    counter of the proxy that began anew.
    """
    earlier = counters(page.report().metrics)

    def tell() -> Report:
        return Report(
            problems=health.own_reasons(),
            dead=[*health.tasks.dead, *journal.dead],
            metrics=added_up([*families(collectors), *earlier]),
        )

    while True:
        page.show(tell)
        await page.asked()


@dataclass(frozen=True, slots=True)
class _Report:
    """What the recorder tells of itself."""

    health: Health
    collectors: list[Collector]

    def add(self, parts: Iterable[Part], *collectors: Collector) -> None:
        """Tell the problems of *parts* and the numbers of *collectors* too."""
        self.health.problems += [partial(problem_of, part) for part in parts]
        self.collectors.extend(collectors)


async def _seal(
    stack: AsyncExitStack,
    settings: ProxySettings,
    parts: Parts,
    sink: Destination,
    database: Database,
    report: _Report,
) -> Seal | None:
    """Return the seal of the journal of *parts*, if it has one; publish and anchor checkpoints."""
    if parts.log is None:
        return None
    say_where_anchored(settings.anchor_urls)
    anchors = await stack.enter_async_context(
        anchoring(settings.anchor_urls, settings.journal_dir, sink)
    )
    # Closed after the writer: the last checkpoint has all that was written.
    checkpoints = await stack.enter_async_context(
        sealing(
            parts.log.kept,
            sink,
            settings.instance_name,
            report.health.tasks,
            partial(offering, anchors, SealTables(database)),
        )
    )
    if checkpoints is None:
        return None
    seal = checkpoints.seal
    report.add([seal, checkpoints, anchors], SealCollector(checkpoints), AnchorCollector(anchors))
    return seal


async def _tokens(
    stack: AsyncExitStack, settings: ProxySettings, database: Database
) -> TokenTable:
    if settings.token_database_url is None:
        return TokenTable(database, settings.token_query)
    url = settings.token_database_url.get_secret_value()
    elsewhere = await stack.enter_async_context(
        open_database(url, connections=1, application=APPLICATION)
    )
    return TokenTable(elsewhere, settings.token_query)


async def _database(
    stack: AsyncExitStack, shared: AuditLogSettings, health: Health
) -> tuple[Database, PartitionUpkeep]:
    url = shared.database_url.get_secret_value()
    database = await stack.enter_async_context(
        open_database(url, connections=1, application=APPLICATION)
    )
    partitions = PartitionUpkeep(database)
    _ = await stack.enter_async_context(health.tasks.running(partitions.run, "partitions"))
    return database, partitions


async def _retention(
    stack: AsyncExitStack,
    shared: AuditLogSettings,
    database: Database,
    observers: Observers,
    health: Health,
) -> RetentionUpkeep:
    upkeep = RetentionUpkeep(
        database,
        shared.retention,
        may_cut_short=shared.shorten_retention,
        budget_nears=observers.announcer.budget_nears if observers.announcer else None,
    )
    _ = await stack.enter_async_context(health.tasks.running(upkeep.run, "retention"))
    return upkeep


async def _publisher(stack: AsyncExitStack, nats: NatsSettings) -> Destination:
    # Imported late: nats-py takes 2 MiB, and most sidecars do without.
    from audit_log.nats.jetstream import open_jetstream  # noqa: PLC0415
    from audit_log.nats.publisher import Publisher  # noqa: PLC0415

    jetstream = await stack.enter_async_context(open_jetstream(nats, application=APPLICATION))
    return Publisher(jetstream)
