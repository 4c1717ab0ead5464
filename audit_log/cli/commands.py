"""`python -m audit_log`: runs the command that the arguments name."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Final

from audit_log.cli.arguments import parse
from audit_log.cli.convert_command import convert, drop_old, verify
from audit_log.cli.migrate_command import bring_up_to_date
from audit_log.cli.purge_command import purge
from audit_log.cli.terminal import CommandError
from audit_log.cli.token_command import create, list_all, revoke
from audit_log.errors import CredentialsFileError, RecordRefusedError, SchemaError, StoreError
from audit_log.nats.ingest_service import serve
from audit_log.nats.jetstream import check_files
from audit_log.postgres.agents.token_details import TokenDirectory
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.token_table import TokenTable
from audit_log.process.logs import set_up_logs
from audit_log.process.reading import SettingsReading, stop
from audit_log.process.settings import (
    AuditLogSettings,
    IngestSettings,
    NatsSettings,
)
from audit_log.process.sockets import CannotListenError
from audit_log.process.tls import TlsFilesError

Work = Callable[[], Coroutine[object, object, None]]
_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells report it


def main(arguments: Sequence[str] | None = None, program: str = "python -m audit_log") -> int:
    """Run the command in *arguments*; return 0, or 1 after one line that says what was wrong.

    Usage lines call the command *program*.
    """
    options = parse(arguments, program)
    reading = SettingsReading()
    work = _ingest(reading) if options.command == "ingest" else _command(reading, options)
    try:
        asyncio.run(work())
    except StoreError as error:
        sys.stderr.write(f"{_complaint(error)}\n")
        return 1
    except (TlsFilesError, CredentialsFileError) as error:
        stop([str(error)])
    except (CommandError, CannotListenError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _ingest(reading: SettingsReading) -> Work:
    shared, nats = reading.read(AuditLogSettings), reading.read(NatsSettings)
    settings = reading.read(IngestSettings)
    if shared is None or nats is None or settings is None or reading.complaints():
        stop(reading.complaints())
    _begin(reading, shared)

    async def work() -> None:
        check_files(nats)
        await serve(shared, nats, settings)

    return work


def _command(reading: SettingsReading, options: argparse.Namespace) -> Work:
    shared = reading.read(AuditLogSettings)
    if shared is None or reading.complaints():
        stop(reading.complaints())
    _begin(reading, shared)
    return partial(_run, options, shared)


def _begin(reading: SettingsReading, shared: AuditLogSettings) -> None:
    set_up_logs(shared.log_format, shared.log_level)
    reading.log_advice()


async def _run(options: argparse.Namespace, settings: AuditLogSettings) -> None:
    url = settings.database_url.get_secret_value()
    async with open_database(url, connections=1, application="audit_log") as database:
        if options.command == "migrate":
            await bring_up_to_date(database)
        elif options.command == "purge":
            await purge(
                database, settings.retention, is_dry_run=options.dry_run, is_confirmed=options.yes
            )
        elif options.command == "convert":
            step = verify if options.verify else drop_old if options.drop_old else convert
            await step(database)
        else:
            await _run_on_tokens(options, database)


async def _run_on_tokens(options: argparse.Namespace, database: Database) -> None:
    tokens = TokenTable(database)
    if options.action == "create":
        await create(
            tokens,
            options.name,
            options.role,
            options.expiry_days,
            options.owner,
            options.description,
        )
    elif options.action == "list":
        await list_all(tokens, TokenDirectory(database))
    else:
        await revoke(tokens, options.id)


def _complaint(error: StoreError) -> str:
    if isinstance(error, SchemaError):
        return str(error)
    if isinstance(error, RecordRefusedError):
        return f"PostgreSQL refused this: {error}"
    return f"PostgreSQL cannot do this now: {error}"
