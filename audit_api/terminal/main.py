"""Runs the command that reads the log: what it asks, and what its exit status says."""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from audit_api.client.audit_client import AuditClient
from audit_api.client.refusals import (
    AuditApiError,
    NotAllowedError,
    OutOfReachError,
    WrongQuestionError,
)
from audit_api.rules.complaint import RulesFileError
from audit_api.sources.source import SourceError, opened, source_of
from audit_api.terminal.command_line import parse
from audit_api.terminal.exporting import export
from audit_api.terminal.filter_words import FilterError, read_filters
from audit_api.terminal.listing import query, reads, sessions
from audit_api.terminal.ranking import objects, top
from audit_api.terminal.screen import Screen
from audit_api.terminal.showing import show
from audit_api.terminal.signing_in import refuse_database, sign_in_link
from audit_api.terminal.tailing import tail
from audit_log.errors import StoreError
from audit_log.process.mark_file import MarkFileError, MarkFileInUseError

_WRONG_USAGE: Final = 2
_NOT_NOW: Final = 75  # EX_TEMPFAIL of sysexits.h: a program that tries again knows it
_NOT_ALLOWED: Final = 77  # EX_NOPERM
_WRONG_SETTING: Final = 78  # EX_CONFIG
_COMMANDS: Final = {
    "query": query,
    "tail": tail,
    "show": show,
    "export": export,
    "top": top,
    "objects": objects,
    "sessions": sessions,
    "reads": reads,
    "sign-in-link": sign_in_link,
}
_STATUSES: Final[dict[type[Exception], int]] = {
    FilterError: _WRONG_USAGE,
    WrongQuestionError: _WRONG_USAGE,
    OutOfReachError: _NOT_NOW,
    StoreError: _NOT_NOW,
    MarkFileInUseError: _NOT_NOW,
    NotAllowedError: _NOT_ALLOWED,
    SourceError: _WRONG_SETTING,
    RulesFileError: _WRONG_SETTING,
    AuditApiError: 1,
    MarkFileError: 1,
    OSError: 1,
}
"""The first kind that an error is of decides."""


def main(arguments: Sequence[str], program: str) -> int:
    """Run the command in *arguments*; return its exit status, after one line if it failed."""
    options = parse(arguments, program)
    return done(lambda: asyncio.run(_run(options)))


def done(work: Callable[[], object]) -> int:
    """Do *work*; return the exit status, after one line if it failed."""
    try:
        work()
    except BrokenPipeError:
        raise  # the program around all commands ends quietly
    except tuple(_STATUSES) as error:
        sys.stderr.write(f"{_complaint(error)}\n")
        return next(status for kind, status in _STATUSES.items() if isinstance(error, kind))
    return 0


async def _run(options: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    if "filters" in options:
        zone = now.astimezone() if options.local else now
        options.filters = read_filters(options.filters, zone)
    screen = Screen(is_local=options.local)
    async with asking(options) as client:
        await _COMMANDS[options.command](client, screen, options)


@asynccontextmanager
async def asking(options: argparse.Namespace) -> AsyncIterator[AuditClient]:
    """Yield a client that reads where *options*, or else the environment, say.

    Raises SourceError, and StoreError if the database is away.
    """
    source = source_of(
        os.environ,
        url=options.url,
        token=options.token,
        token_file=options.token_file,
        database_url=options.database_url,
    )
    if options.command == "sign-in-link":
        refuse_database(source)
    async with opened(source) as client:
        if source.database_url is not None:
            await _reach(source.database_url)
        yield client


async def _reach(database_url: str) -> None:
    """Raise StoreError, with the reason, if the database is away: the audit API would hide it."""
    # Imported late, as by `opened`.
    from audit_api.sources.direct import reach  # noqa: PLC0415
    from audit_log.process.logs import set_up_logs  # noqa: PLC0415

    set_up_logs("console", "error")
    await reach(database_url)


def _complaint(error: Exception) -> str:
    if isinstance(error, StoreError):
        return f"the database cannot be read now: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
