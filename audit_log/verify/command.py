"""`podwarden-audit verify`: says whether the audit log is what its sidecars sealed."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import SecretStr, TypeAdapter, ValidationError

from audit_log.errors import SealFormatError, StoreError
from audit_log.postgres.database import open_database
from audit_log.process.database_url import DatabaseUrl
from audit_log.process.program import add_version
from audit_log.seal.policy import Policy
from audit_log.seal.policy_file import parse_policy
from audit_log.verify.evidence.anchored import Anchored, AnchorUnreadableError, read_anchor
from audit_log.verify.evidence.bookmark import (
    Bookmark,
    BookmarkError,
    read_bookmarks,
    write_bookmarks,
)
from audit_log.verify.findings import Report, Verdict
from audit_log.verify.telling.progress import Progress
from audit_log.verify.telling.rendering import json_of, lines_of, printable
from audit_log.verify.verification import Request, Verification

_INTERRUPTED: Final = 130
_VARIABLE: Final = "AUDIT_LOG_DATABASE_URL"
_STATEMENT_SECONDS: Final = 3_600.0
_SILENT_MINUTES: Final = 15
# Before the snapshot is taken: a table that takes the place of another after it would look empty.
_BEGIN: Final = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "LOCK TABLE mcp_audit_log, mcp_tool_invocation, mcp_audit_gap IN ACCESS SHARE MODE",
)
_EPILOG: Final = (
    "Exits with 0 if the log is genuine and complete, with 1 if it was tampered with, with 2 if "
    "that cannot be told. Nothing in the database is trusted: the keys are those of the policy, "
    "and what is complete is what checkpoints say that are kept elsewhere."
)


class VerifyError(Exception):
    """The verification cannot be done. The message says why, and what to do."""


def main(
    arguments: Sequence[str] | None = None, program: str = "python -m audit_log.verify"
) -> int:
    """Verify as *arguments* say; return the exit status. Usage lines call it *program*."""
    options = _parser(program).parse_args(arguments)
    report = None
    try:
        report, bookmarks = asyncio.run(_verify(options))
        _write(json_of(report) if options.json else "\n".join(lines_of(report)))
        if options.since:
            write_bookmarks(options.since, bookmarks)
    except (VerifyError, AnchorUnreadableError, BookmarkError, StoreError) as error:
        message = str(error)
        if isinstance(error, StoreError):
            message = f"PostgreSQL cannot be read now: {error}"
        sys.stderr.write(f"{printable(message)}\n")
        is_tampered = report is not None and report.verdict is Verdict.TAMPERED
        return Verdict.TAMPERED if is_tampered else Verdict.CANNOT_TELL
    except KeyboardInterrupt:
        return _INTERRUPTED
    return report.verdict


def _write(text: str) -> None:
    """Write the report; raise VerifyError where there is no room for it."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # what reads it has seen enough
    except OSError as error:
        # What is still buffered must not fail once more at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise VerifyError(f"The report cannot be written: {error.strerror}") from error


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Say whether the audit log is what its sidecars sealed.",
        epilog=_EPILOG,
    )
    add_version(parser)
    parser.add_argument(
        "--policy",
        type=Path,
        required=True,
        metavar="FILE",
        help="keys of logs and witnesses that you trust, and how many witnesses are enough"
        " (tlog-policy)",
    )
    parser.add_argument(
        "--anchor",
        action="append",
        default=[],
        metavar="PLACE",
        help="a file, a folder or an http(s) URL with checkpoints that are kept elsewhere;"
        " may be given several times",
    )
    _add_terms(parser)
    parser.add_argument(
        "--database-url", metavar="URL", help=f"PostgreSQL URL of the audit log ({_VARIABLE})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add_terms(parser: argparse.ArgumentParser) -> None:
    """Add what is to be read, and what has to be there."""
    parser.add_argument(
        "--since",
        type=Path,
        metavar="FILE",
        help="read only what is newer than the last run with this file; the file is updated",
    )
    parser.add_argument(
        "--kept-days",
        type=_days,
        metavar="DAYS",
        help="younger rows must be there (as the sidecars have signed their retention)",
    )
    parser.add_argument(
        "--silent-minutes",
        type=_minutes,
        default=_SILENT_MINUTES,
        metavar="MINUTES",
        help=f"tell of logs that say nothing for so long ({_SILENT_MINUTES}); 0: never",
    )


async def _verify(options: argparse.Namespace) -> tuple[Report, dict[str, Bookmark]]:
    """Return the report, and up to where each log is verified now."""
    policy = _policy(options.policy)
    bookmarks = read_bookmarks(options.since) if options.since else {}
    # Before the snapshot: what an anchor has seen is then in the database.
    anchored = await asyncio.to_thread(_anchored, options.anchor)
    silent = timedelta(minutes=options.silent_minutes) if options.silent_minutes else None
    request = Request(
        policy=policy,
        anchored=anchored,
        bookmarks=bookmarks,
        now=datetime.now(UTC),
        kept_days=options.kept_days,
        silent_after=silent,
    )
    with Progress(sys.stderr) as progress:
        report, found = await _read(_url(options.database_url), request, progress.show)
    return report, {**bookmarks, **found}


async def _read(
    url: str, request: Request, progress: Callable[[int, int], None]
) -> tuple[Report, dict[str, Bookmark]]:
    async with (
        open_database(url, connections=1, application="audit_verify") as database,
        database.transaction(statement_seconds=_STATEMENT_SECONDS) as transaction,
    ):
        for statement in _BEGIN:
            await transaction.execute(statement)
        try:
            return await Verification(transaction, request, progress).run()
        except (TypeError, ValueError, AttributeError) as error:
            # A column that was given another type, or may be NULL: its owner may do that.
            raise VerifyError(
                "The tables are not as `podwarden-audit migrate` makes them, so nothing can be "
                f"told: {error}"
            ) from error


def _policy(path: Path) -> Policy:
    try:
        policy = parse_policy(path.read_bytes())
    except OSError as error:
        raise VerifyError(f"{path} cannot be read: {error.strerror}") from error
    except SealFormatError as error:
        raise VerifyError(f"{path}: {error}") from error
    if not policy.logs:
        raise VerifyError(f"{path} names no log: add `log VKEY` for each sidecar")
    return policy


def _anchored(places: Sequence[str]) -> list[Anchored]:
    return [anchored for place in places for anchored in read_anchor(place)]


def _url(given: str | None) -> str:
    url = given or os.environ.get(_VARIABLE)
    if not url:
        raise VerifyError(f"{_VARIABLE} is not set: set it, or give --database-url")
    try:
        checked: SecretStr = TypeAdapter(DatabaseUrl).validate_python(url)
    except ValidationError as error:
        [problem, *_] = error.errors(include_input=False, include_url=False)
        name = "--database-url" if given else _VARIABLE
        raise VerifyError(f"{name}: {problem['msg'].removeprefix('Value error, ')}") from None
    return checked.get_secret_value()


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 36_500:  # noqa: PLR2004
        raise argparse.ArgumentTypeError("a number of days from 1 to 36500")
    return int(text)


def _minutes(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 1_000_000:  # noqa: PLR2004
        raise argparse.ArgumentTypeError("a number of minutes, 0 or more")
    return int(text)
