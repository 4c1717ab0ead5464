"""Orphaned journals: no worker opens them since `PROXY_WORKERS` was changed.

They are written at the start, beside the calls, one after the other. One that cannot be opened,
because another process holds it, is reported and tried again until it is written.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from audit_log.errors import StatementRefusedError, StoreUnavailableError
from audit_log.naming import FindTokens
from audit_log.postgres.database import open_database
from audit_log.postgres.seal.seal_tables import SealTables
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.process.background import BackgroundTasks
from audit_log.process.disk_thread import in_disk_thread
from audit_log.process.settings import AuditLogSettings
from audit_log.record import Gap
from proxy.delivery.replaced_store import ReplacedStore
from proxy.delivery.writer import Writer
from proxy.journal import JournalError, Limits, holds_records, open_journal
from proxy.seal.anchoring import anchoring, offering
from proxy.seal.checkpoints import Offer, sealing
from proxy.seal.seal import Seal
from proxy.settings import ProxySettings
from proxy.workers import Place, known_places, place_of

APPLICATION = "podwarden-audit-orphaned"
_RETRY_SECONDS: Final = 5.0
_OPENING_SECONDS: Final = 5.0
"""How long a disk may take to open a journal before the next journal has its turn."""
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Orphaned:
    """The state of the orphaned journals while they are written."""

    announce: Callable[[Gap], None] | None = None
    """Called with each gap that is written."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why a journal is not written, by its path."""

    @property
    def problem(self) -> str | None:
        """Which journals are not written, and why, or None."""
        return "; ".join(self.problems.values()) or None

    def note_late(self, place: Place) -> None:
        """Note that the disk takes long to open the journal in *place*."""
        path = str(place.journal)
        self.problems[path] = f"the disk of the orphaned journal in {path} does not answer"
        log.warning("journal.orphaned_late", path=path, seconds=_OPENING_SECONDS)


def orphaned(directory: Path, workers: int, instance: str) -> list[Place]:
    """Return the places in *directory* whose journals hold records and which no worker opens."""
    in_use = {directory}
    if workers > 1:
        in_use = {place_of(number, directory, instance).journal for number in range(workers)}
    known = known_places(directory, instance)
    return [place for place in known if place.journal not in in_use and _is_wanted(place.journal)]


def _is_wanted(journal: Path) -> bool:
    try:
        return holds_records(journal)
    except OSError:
        return True  # opening it then reports what is wrong


@dataclass(slots=True)
class _Target:
    """Where orphaned journals are written to."""

    store: Store
    find: FindTokens
    offering: Callable[[Seal], Offer] | None = None
    """Makes what takes the checkpoints of a seal for the anchors."""


@asynccontextmanager
async def draining_orphaned(
    shared: AuditLogSettings,
    settings: ProxySettings,
    instance: str,
    tasks: BackgroundTasks,
    announce: Callable[[Gap], None] | None = None,
) -> AsyncIterator[Orphaned]:
    """Write the orphaned journals beside the block, as one of *tasks*.

    The next start writes those that are left at its end. *announce* is called with each gap.
    """
    progress = Orphaned(announce)
    begin = partial(_drain_all, shared, settings, instance, progress)
    async with tasks.running(begin, "orphaned-journals"):
        yield progress


async def _drain_all(
    shared: AuditLogSettings, settings: ProxySettings, instance: str, progress: Orphaned
) -> None:
    places = await in_disk_thread(
        "orphaned-journals", orphaned, settings.journal_dir, settings.workers, instance
    )
    if not places:
        return
    async with AsyncExitStack() as stack:
        database = tokens = await stack.enter_async_context(
            open_database(
                shared.database_url.get_secret_value(), connections=1, application=APPLICATION
            )
        )
        if settings.token_database_url is not None:
            url = settings.token_database_url.get_secret_value()
            tokens = await stack.enter_async_context(
                open_database(url, connections=1, application=APPLICATION)
            )
        find = TokenTable(tokens, settings.token_query).find_together
        store = Store(database)
        await _known(store)
        target = _Target(store, find)
        if settings.seal:
            anchors = await stack.enter_async_context(
                anchoring(settings.anchor_urls, settings.journal_dir, store)
            )
            target.offering = partial(offering, anchors, SealTables(database))
        drain = partial(_drain, settings, target, progress)
        await _in_turn(places, drain, progress)


async def _known(store: Store) -> None:
    """Return when *store* answers who it is: it may lack what was confirmed by another one."""
    while True:
        try:
            await store.identity()
        except StatementRefusedError:
            return  # it may not be asked
        except StoreUnavailableError:
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            return


async def _in_turn(
    places: Iterable[Place],
    drain: Callable[[Place, asyncio.Future[bool]], Coroutine[None, None, None]],
    progress: Orphaned,
) -> None:
    """Drain one of *places* after the other; go on beside one that is not opened at once."""
    async with asyncio.TaskGroup() as tasks:
        for place in places:
            opened = asyncio.get_running_loop().create_future()
            task = tasks.create_task(drain(place, opened), name="orphaned-journal")
            await asyncio.wait(
                {task, opened}, timeout=_OPENING_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if opened.done():
                if opened.result():
                    await asyncio.wait({task})
            elif not task.done():
                progress.note_late(place)


async def _drain(
    settings: ProxySettings,
    target: _Target,
    progress: Orphaned,
    place: Place,
    opened: asyncio.Future[bool],
) -> None:
    """Write the journal in *place*, trying again until it can be opened.

    Settle *opened* when the first attempt has, or has not, opened it.
    """
    log.warning("journal.orphaned", path=str(place.journal))
    while True:
        if await _is_drained(settings, target, progress, place, opened):
            return
        await asyncio.sleep(_RETRY_SECONDS)


async def _is_drained(
    settings: ProxySettings,
    target: _Target,
    progress: Orphaned,
    place: Place,
    opened: asyncio.Future[bool],
) -> bool:
    path = str(place.journal)
    try:
        async with open_journal(
            place.journal,
            instance=place.instance,
            ring_directory=settings.journal_ring_dir,
            limits=Limits(
                ring_bytes=settings.journal_ring_bytes,
                max_bytes=settings.journal_max_bytes,
                # Until the store was looked at: it may lack what was confirmed by another one.
                kept_seconds=settings.journal_kept_seconds,
            ),
            close_seconds=settings.stop_seconds,
            key_file=settings.key_file_in(settings.journal_dir),
        ) as (intake, journal):
            _settle(opened, is_open=True)
            intake.finish()  # its log has an end then, and is not silent
            journal.end_reading()
            store, find = target.store, target.find
            replaced = ReplacedStore(store, journal)
            async with sealing(
                journal.log, store, place.instance, BackgroundTasks(), target.offering
            ) as checkpoints:
                seal = None if checkpoints is None else checkpoints.seal
                writer = Writer(journal, store, find, progress.announce, replaced, seal)
                await writer.run()
            journal.keep_no_longer()
    except (JournalError, OSError) as error:
        # A sidecar of the former number of workers may hold it, while it stops or for long.
        problem = f"the orphaned journal in {path} is not written: {error}"
        if progress.problems.get(path) != problem:
            progress.problems[path] = problem
            log.error("journal.orphaned_not_opened", path=path, error=str(error))
        _settle(opened, is_open=False)
        return False
    progress.problems.pop(path, None)
    log.info("journal.orphaned_drained", path=path, records=writer.progress.written)
    return True


def _settle(opened: asyncio.Future[bool], *, is_open: bool) -> None:
    if not opened.done():
        opened.set_result(is_open)
