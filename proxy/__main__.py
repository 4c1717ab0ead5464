"""`python -m proxy`: the sidecar as a process, configured by its environment."""

import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from functools import partial
from time import monotonic, sleep
from typing import Final

import structlog
import uvloop

from audit_log.errors import CredentialsFileError
from audit_log.process.background import BackgroundTasks
from audit_log.process.files import raise_file_limit
from audit_log.process.logs import set_up_logs
from audit_log.process.program import parse_no_arguments
from audit_log.process.reading import SettingsReading, stop
from audit_log.process.settings import AuditLogSettings, NatsSettings
from audit_log.process.sockets import CannotListenError
from audit_log.process.tls import TlsFilesError
from proxy.delivery.orphaned import draining_orphaned
from proxy.journal import JournalError, JournalLockedError, Parts, open_parts
from proxy.recorder.keeper import LAST_SECONDS, Keeper, keeping
from proxy.recorder.page import Page
from proxy.recorder.recording import limits_of, record
from proxy.service import check_tls_files, serving
from proxy.settings import ProxySettings, Sink
from proxy.telemetry.observers import span_export
from proxy.telemetry.tracing import TracingUnavailableError
from proxy.workers import (
    ForkServer,
    Leash,
    WorkerFailedError,
    as_member,
    begin_fork_server,
    supervise,
    workers_of,
)

_RETRY_SECONDS: Final = 0.05
_FAREWELL_SECONDS: Final = 8.0
"""What webhook, traces, the last checkpoint and its anchors may take of the recorder's end, beside
the writer and the journal."""
log = structlog.get_logger("proxy")


def main(arguments: Sequence[str] | None = None, program: str = "python -m proxy") -> int:
    """Serve until SIGTERM or SIGINT; exit with one line if the start fails."""
    parse_no_arguments(arguments, program, "Forward calls and record them, until stopped.")
    reading = SettingsReading()
    shared, settings, nats = _read(reading)
    set_up_logs(shared.log_format, shared.log_level)
    raise_file_limit()
    reading.log_advice()
    try:
        # Before anything starts: each worker would report the same error at each restart.
        _check(settings, nats)
        if settings.workers > 1:
            _run_workers(shared, settings)
        else:
            _run(shared, settings, nats)
    except (TlsFilesError, CredentialsFileError) as error:
        stop([str(error)])
    except (CannotListenError, WorkerFailedError) as error:
        raise SystemExit(str(error)) from None
    except JournalError as error:
        raise SystemExit(f"PROXY_JOURNAL_DIR: {error}") from None
    except TracingUnavailableError as error:
        raise SystemExit(f"PROXY_TRACING: {error}") from None
    return 0


def _read(
    reading: SettingsReading,
) -> tuple[AuditLogSettings, ProxySettings, NatsSettings | None]:
    """Return the settings; exit with readable lines if any is missing or wrong."""
    shared, settings = reading.read(AuditLogSettings), reading.read(ProxySettings)
    needs_nats = settings is not None and settings.sink is Sink.NATS
    nats = reading.read(NatsSettings) if needs_nats else None
    if shared is None or settings is None or reading.complaints():
        stop(reading.complaints())
    return shared, settings, nats


def _check(settings: ProxySettings, nats: NatsSettings | None) -> None:
    """Raise an error if a file or a package that is needed is missing."""
    check_tls_files(settings)
    if settings.tracing:
        _ = span_export(settings.instance_name)
    if nats is not None:
        # Only with NATS: the import takes 2 MiB.
        from audit_log.nats.jetstream import check_files  # noqa: PLC0415

        check_files(nats)


def _run_workers(shared: AuditLogSettings, settings: ProxySettings) -> None:
    """Run the supervisor; in each process that is forked for it, run a worker."""
    fork_server = begin_fork_server()
    if isinstance(fork_server, Leash):
        # Its environment differs, and what files say may have changed since.
        shared, settings, nats = _read(SettingsReading())
        _check(settings, nats)
        _run(shared, settings, nats, fork_server)
    else:
        with fork_server:
            uvloop.run(_supervise(shared, settings, fork_server))


async def _supervise(
    shared: AuditLogSettings, settings: ProxySettings, fork_server: ForkServer
) -> None:
    instance = settings.instance_name
    workers, tasks = workers_of(settings, instance), BackgroundTasks()
    async with draining_orphaned(shared, settings, instance, tasks) as orphaned:
        await supervise(workers, fork_server, tasks, lambda: orphaned.problem)


def _run(
    shared: AuditLogSettings,
    settings: ProxySettings,
    nats: NatsSettings | None,
    leash: Leash | None = None,
) -> None:
    """Run the two processes of a sidecar; this one takes calls."""
    parts, page = _opened_parts(settings), Page()
    # What is loaded by now stays: collections that visit it take 50 ms, and calls would wait. The
    # processes share it as long as no collection touches it.
    gc.collect()
    gc.freeze()
    with keeping(partial(record, shared, settings, nats, parts, page), page) as keeper:
        uvloop.run(_serve(shared, settings, parts, page, keeper, leash))


def _opened_parts(settings: ProxySettings) -> Parts:
    """Open the journal; wait for the recorder of a proxy that was killed. Raises JournalError."""
    until = monotonic() + LAST_SECONDS + 2.0
    while True:
        try:
            return open_parts(
                settings.journal_dir,
                settings.journal_ring_dir,
                limits_of(settings),
                settings.instance_name,
                settings.key_file_in(settings.journal_dir),
            )
        except JournalLockedError:
            if monotonic() > until:
                raise
            sleep(_RETRY_SECONDS)


async def _serve(
    shared: AuditLogSettings,
    settings: ProxySettings,
    parts: Parts,
    page: Page,
    keeper: Keeper,
    leash: Leash | None,
) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with (
        as_member(leash, stopped) as member,
        serving(shared, settings, parts, page, member, keeper) as addresses,
    ):
        log.info(
            "service.started",
            host=addresses.calls.host,
            port=addresses.calls.port,
            ops_host=addresses.ops.host,
            ops_port=addresses.ops.port,
            hub_port=addresses.hub and addresses.hub.port,
        )
        await stopped.wait()
    await keeper.end(2 * settings.stop_seconds + _FAREWELL_SECONDS)
    log.info("service.stopped")


if __name__ == "__main__":
    sys.exit(main())
