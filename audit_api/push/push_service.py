"""`podwarden-audit push`: the push as a process, or one test event with `--test`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import structlog

from audit_api.client.asking import Filters
from audit_api.client.audit_client import AuditClient
from audit_api.push.delivery import Delivery
from audit_api.push.items import (
    ENTRY,
    TOOL_CALL,
    ItemsRefusedError,
    ReceiverAwayError,
    a_test,
)
from audit_api.push.push_ops import PushCollector, report_of
from audit_api.push.push_settings import PushSettings
from audit_api.push.pusher import Pusher
from audit_api.push.receivers import receivers_of, webhook_of
from audit_api.push.rule_watch import RuleWatch
from audit_api.push.rule_watches import rule_watches
from audit_api.rules.complaint import RulesFileError
from audit_api.rules.rules_file import read_rules
from audit_api.sources.source import Source, SourceError, opened, source_of
from audit_log.process.background import BackgroundTasks
from audit_log.process.logs import set_up_logs
from audit_log.process.mark_file import MarkFileError, marks_in
from audit_log.process.ops import serving_ops
from audit_log.process.program import add_version
from audit_log.process.reading import SettingsReading, stop
from audit_log.process.settings import LogSettings
from audit_log.process.sockets import Address, CannotListenError
from audit_log.process.tls import TlsFilesError

_NOT_NOW: Final = 75  # EX_TEMPFAIL of sysexits.h
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None, program: str) -> int:
    """Push until SIGTERM or SIGINT; return 0, or another status after a line that says why."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Push the log to OTLP and syslog, and what fires rules to a webhook.",
        epilog="Settings are environment variables: docs/settings.md.",
    )
    add_version(parser)
    parser.add_argument(
        "--test", action="store_true", help="push one test event, and say to where"
    )
    options = parser.parse_args(arguments)
    reading = SettingsReading()
    settings, logs = reading.read(PushSettings), reading.read(LogSettings)
    if settings is None or logs is None or reading.complaints():
        stop(reading.complaints())
    if settings.otlp_url is None and settings.syslog_url is None and settings.rules_file is None:
        stop(["set AUDIT_PUSH_OTLP_URL, AUDIT_PUSH_SYSLOG_URL or AUDIT_PUSH_RULES_FILE"])
    set_up_logs(logs.log_format, logs.log_level)
    try:
        if options.test:
            return asyncio.run(_test(settings))
        asyncio.run(_serve(settings, source_of(os.environ)))
    except (TlsFilesError, SourceError, RulesFileError) as error:
        stop([str(error)])
    except (CannotListenError, MarkFileError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(settings: PushSettings, source: Source) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    rules = [] if settings.rules_file is None else read_rules(settings.rules_file)
    tasks = BackgroundTasks()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(opened(source))
        settings.dir.mkdir(parents=True, exist_ok=True)
        pushers: list[Pusher | RuleWatch] = [
            *await _pushers(settings, client, stack),
            *await rule_watches(settings, rules, client, stack),
        ]
        deliveries = [pusher.delivery for pusher in pushers]
        ops = await stack.enter_async_context(
            serving_ops(
                partial(report_of, deliveries, tasks),
                lambda: tasks.dead,
                PushCollector(deliveries),
                wanted=Address(settings.ops_host, settings.ops_port),
                setting="AUDIT_PUSH_OPS_HOST, AUDIT_PUSH_OPS_PORT",
            )
        )
        for pusher, to in zip(pushers, deliveries, strict=True):
            name = f"push-{to.name}-{to.kind}"
            _ = await stack.enter_async_context(tasks.running(pusher.run, name))
        log.info("service.started", ops_host=ops.host, ops_port=ops.port)
        await stopped.wait()
    log.info("service.stopped", taken=sum(each.taken for each in deliveries))


async def _pushers(
    settings: PushSettings, client: AuditClient, stack: AsyncExitStack
) -> list[Pusher]:
    filters: Filters = {} if settings.since is None else {"since": settings.since}
    pushers = []
    for receiver in await receivers_of(settings, stack):
        for kind in (ENTRY, TOOL_CALL):
            file = settings.dir / f"{receiver.name}-{kind}.mark"
            marks = stack.enter_context(marks_in(file))
            _ = marks.read()  # what cannot be read is told at the start
            delivery = Delivery(receiver, kind, file.with_suffix(".refused.ndjson"))
            pushers.append(Pusher(client, delivery, marks, filters))
    return pushers


async def _test(settings: PushSettings) -> int:
    """Push one test event to each receiver; return 75 if one of them did not take it."""
    failed = False
    async with AsyncExitStack() as stack:
        webhook = await webhook_of(settings, stack)
        rules = [] if webhook is None else [webhook]
        for receiver in [*await receivers_of(settings, stack), *rules]:
            try:
                await receiver.send([a_test()])
            except (ReceiverAwayError, ItemsRefusedError) as error:
                failed = True
                sys.stderr.write(f"{receiver.name} did not take the test event: {error}\n")
            else:
                sys.stdout.write(f"{receiver.name} has taken the test event\n")
    return _NOT_NOW if failed else 0
