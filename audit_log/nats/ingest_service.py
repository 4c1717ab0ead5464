"""The ingest as a process: `python -m audit_log ingest`."""

import asyncio
import signal
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import structlog

from audit_log.nats.ingest import Ingest
from audit_log.nats.ingest_ops import IngestCollector, report_of
from audit_log.nats.jetstream import open_jetstream
from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.process.background import BackgroundTasks
from audit_log.process.files import raise_file_limit
from audit_log.process.ops import serving_ops
from audit_log.process.settings import AuditLogSettings, IngestSettings, NatsSettings
from audit_log.process.sockets import Address
from audit_log.schema.partitions import keep_partitions

APPLICATION: Final = "podwarden-audit-ingest"
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def serve(shared: AuditLogSettings, nats: NatsSettings, settings: IngestSettings) -> None:
    """Write published records to PostgreSQL until SIGTERM or SIGINT. NATS and it may be away.

    Messages in hand at the stop are not acknowledged, so NATS delivers them again.
    Raises CannotListenError.
    """
    raise_file_limit()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = BackgroundTasks()
    async with AsyncExitStack() as stack:
        url = shared.database_url.get_secret_value()
        database = await stack.enter_async_context(open_database(url, application=APPLICATION))
        tokens = database
        if settings.token_database_url is not None:
            tokens = await stack.enter_async_context(
                open_database(
                    settings.token_database_url.get_secret_value(),
                    connections=1,
                    application=APPLICATION,
                )
            )
        jetstream = await stack.enter_async_context(open_jetstream(nats, application=APPLICATION))
        find = TokenTable(tokens, settings.token_query).find_together
        ingest = Ingest(jetstream, Store(database), find)
        ops = await stack.enter_async_context(
            serving_ops(
                partial(report_of, ingest, tasks),
                lambda: tasks.dead,
                IngestCollector(ingest),
                wanted=Address(settings.ops_host, settings.ops_port),
                setting="AUDIT_LOG_INGEST_OPS_HOST, AUDIT_LOG_INGEST_OPS_PORT",
            )
        )
        _ = await stack.enter_async_context(tasks.running(ingest.run, "ingest"))
        _ = await stack.enter_async_context(
            tasks.running(partial(keep_partitions, database), "partitions")
        )
        log.info("service.started", stream=nats.stream, ops_host=ops.host, ops_port=ops.port)
        await stop.wait()
    log.info("service.stopped", written=ingest.written, quarantined=ingest.quarantined)
