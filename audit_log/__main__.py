"""`python -m audit_log`: make and keep the schema, and tokens where PodWarden has no table."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from audit_log.cli.convert_command import convert, drop_old, verify
from audit_log.cli.purge_command import purge
from audit_log.cli.terminal import CommandError, say
from audit_log.errors import CredentialsFileError, RecordRefusedError, SchemaError, StoreError
from audit_log.nats.ingest_service import serve
from audit_log.nats.jetstream import check_files
from audit_log.postgres.database import Database, open_database
from audit_log.process.logs import set_up_logs
from audit_log.process.settings import (
    AuditLogSettings,
    IngestSettings,
    NatsSettings,
    read_settings,
)
from audit_log.process.sockets import CannotListenError
from audit_log.process.tls import TlsFilesError
from audit_log.schema.migrate import ensure_partitions, migrate
from audit_log.tokens import ROLES, Token, TokenTable

_DEFAULT_EXPIRY_DAYS: Final = 90
_MAX_EXPIRY_DAYS: Final = 365


def main(arguments: Sequence[str] | None = None, program: str = "python -m audit_log") -> int:
    """Run the command in *arguments*; return 0, or 1 after one line that says what was wrong.

    Usage lines call the command *program*.
    """
    options = _parser(program).parse_args(arguments)
    settings = read_settings(AuditLogSettings)
    set_up_logs(settings.log_format, settings.log_level)
    try:
        if options.command == "ingest":
            nats, ingest = read_settings(NatsSettings), read_settings(IngestSettings)
            check_files(nats)
            asyncio.run(serve(settings, nats, ingest))
        else:
            asyncio.run(_run(options, settings))
    except StoreError as error:
        sys.stderr.write(f"{_complaint(error)}\n")
        return 1
    except (CommandError, CannotListenError, TlsFilesError, CredentialsFileError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as a shell says it
    return 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add(commands, "migrate", "bring the schema up to date")
    purge = _add(commands, "purge", "let go what AUDIT_LOG_RETENTION_DAYS and _MAX_BYTES say")
    purge.add_argument("--dry-run", action="store_true", help="say what would go, remove nothing")
    purge.add_argument("--yes", action="store_true", help="even if more than half of the log goes")
    convert = _add(commands, "convert", "partition an adopted table, while it is in use")
    steps = convert.add_mutually_exclusive_group()
    steps.add_argument(
        "--verify", action="store_true", help="compare the old table with the new one"
    )
    steps.add_argument("--drop-old", action="store_true", help="compare, then drop the old table")
    _add(commands, "ingest", "bring records from NATS into PostgreSQL, until stopped")
    token = _add(commands, "token", "manage tokens in our own table")
    actions = token.add_subparsers(dest="action", required=True)
    create = _add(actions, "create", "make a token; its secret is shown once")
    create.add_argument("name", type=_token_name)
    create.add_argument("--role", choices=ROLES, required=True)
    create.add_argument("--expiry-days", type=_expiry_days, default=_DEFAULT_EXPIRY_DAYS)
    _add(actions, "list", "list all tokens, without their secrets")
    revoke = _add(actions, "revoke", "make a token invalid from now on")
    revoke.add_argument("id", type=_token_id)
    return parser


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> argparse.ArgumentParser:
    """Return the parser of a new command, whose own help begins with *summary* too."""
    return commands.add_parser(name, help=summary, description=summary)


def _token_name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError("a name is printable text and not blank")
    return text


def _expiry_days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MAX_EXPIRY_DAYS:
        raise argparse.ArgumentTypeError(f"a number of days from 1 to {_MAX_EXPIRY_DAYS}")
    return int(text)


def _token_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a UUID: {text}") from None


async def _run(options: argparse.Namespace, settings: AuditLogSettings) -> None:
    url = settings.database_url.get_secret_value()
    async with open_database(url, connections=1, application="audit_log") as database:
        if options.command == "migrate":
            await _migrate(database)
        elif options.command == "purge":
            await purge(
                database, settings.retention, is_dry_run=options.dry_run, is_confirmed=options.yes
            )
        elif options.command == "convert":
            step = verify if options.verify else drop_old if options.drop_old else convert
            await step(database)
        elif options.action == "create":
            await _create(TokenTable(database), options)
        elif options.action == "list":
            _show(await TokenTable(database).list())
        else:
            await _revoke(TokenTable(database), options.id)


async def _migrate(database: Database) -> None:
    applied = await migrate(database)
    for name in applied:
        say(f"applied {name}")
    if not applied:
        say("the schema is up to date")
    await ensure_partitions(database, datetime.now(UTC))


async def _create(tokens: TokenTable, options: argparse.Namespace) -> None:
    token, secret = await tokens.create(options.name, options.role, options.expiry_days)
    say(f"id      {token.id}")
    say(f"secret  {secret}")


async def _revoke(tokens: TokenTable, token_id: UUID) -> None:
    if not await tokens.revoke(token_id):
        raise CommandError(f"there is no token with the id {token_id}")
    say(f"revoked {token_id}")


def _show(tokens: Sequence[Token]) -> None:
    now = datetime.now(UTC)
    for token in tokens:
        expiry = f"expires {token.expires_at:%Y-%m-%d}" if token.expires_at else "never expires"
        state = token.refusal(now) or expiry
        say(f"{token.id}  {token.role or '-':8}  {state:24}  {token.name}")


def _complaint(error: StoreError) -> str:
    if isinstance(error, SchemaError):
        return str(error)
    if isinstance(error, RecordRefusedError):
        return f"PostgreSQL refused this: {error}"
    return f"PostgreSQL cannot do this now: {error}"


if __name__ == "__main__":
    sys.exit(main())
