"""Journals that nobody opens any more since `PROXY_WORKERS` was changed: written at the start."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from audit_log.database import open_database
from audit_log.naming import FindToken
from audit_log.settings import AuditLogSettings
from audit_log.store import Store
from audit_log.tokens import TokenTable
from proxy.journal import JournalError, Limits, holds_records, open_journal
from proxy.settings import ProxySettings
from proxy.writer import Writer

APPLICATION = "podwarden-audit-left-over"
log = structlog.get_logger(__name__)


def left_over(directory: Path, workers: int) -> list[Path]:
    """Return the journals with records in them that none of *workers* will open in *directory*."""
    in_use = {directory}
    if workers > 1:
        in_use = {directory / f"worker-{number}" for number in range(workers)}
    known = [directory, *sorted(directory.glob("worker-*"))]
    return [path for path in known if path not in in_use and holds_records(path)]


@asynccontextmanager
async def draining_left_over(
    shared: AuditLogSettings, settings: ProxySettings, instance: str
) -> AsyncIterator[None]:
    """Write what is left over beside the block; what is not done by its end is done next time."""
    task = asyncio.create_task(_drain_all(shared, settings, instance), name="left-over-journals")
    task.add_done_callback(_note_end)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _note_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("journal.left_over_not_drained", error=repr(error))


async def _drain_all(shared: AuditLogSettings, settings: ProxySettings, instance: str) -> None:
    paths = left_over(settings.journal_dir, settings.workers)
    if not paths:
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
        find = TokenTable(tokens, settings.token_query).find
        for path in paths:
            await _drain(path, settings, f"{instance}/{path.name}", Store(database), find)


async def _drain(
    path: Path, settings: ProxySettings, instance: str, store: Store, find: FindToken
) -> None:
    log.warning("journal.left_over", path=str(path))
    try:
        async with open_journal(
            path,
            instance=instance,
            head_directory=settings.journal_head_dir,
            limits=Limits(
                head_bytes=settings.journal_head_bytes, max_bytes=settings.journal_max_bytes
            ),
            close_seconds=settings.stop_seconds,
        ) as journal:
            journal.end_reading()
            writer = Writer(journal, store, find)
            await writer.run()
    except JournalError as error:
        # An older sidecar may still be stopping. The next start looks again.
        log.error("journal.left_over_not_opened", path=str(path), error=str(error))
    else:
        log.info("journal.left_over_drained", path=str(path), records=writer.written)
