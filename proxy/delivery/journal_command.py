"""Look into a journal that was kept, or write it: `python -m proxy.journal` and its commands.

It uses the writer, so it lives here: the journal itself does not import its delivery.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.process.logs import set_up_logs
from audit_log.tokens import DEFAULT_TOKEN_QUERY
from proxy.delivery.writer import Writer
from proxy.journal.journal_error import JournalError
from proxy.journal.kept import Finding, KeptJournal

_DATABASE_VARIABLE = "AUDIT_LOG_DATABASE_URL"
_QUERY_VARIABLE = "PROXY_TOKEN_QUERY"
_DESCRIPTION = "For an operator who kept a journal: list, verify or replay its records."


def main(given: Sequence[str], program: str = "python -m proxy.journal") -> int:
    """Do what the arguments *given* to *program* say; return the exit code.

    It is 0 only if everything was there and sound.
    """
    arguments = _arguments(given, program)
    set_up_logs("console", "warning")
    if not arguments.directory.is_dir():
        return _failed(f"{arguments.directory} is not a directory")
    try:
        journal = KeptJournal(arguments.directory)
    except JournalError as error:
        return _failed(str(error))
    with closing(journal):
        if not journal.was_stopped_cleanly:
            _say("the sidecar did not stop cleanly: its newest records may be in memory only")
        if arguments.command == "replay":
            return asyncio.run(_replay(journal, arguments.to))
        return _report(journal, only_faults=arguments.command == "verify")


def _arguments(given: Sequence[str], program: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program, description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True)
    helps = {
        "list": "say what each segment holds",
        "verify": "check every line; say what is damaged or missing",
        "replay": "write every record into PostgreSQL; repeating it is harmless",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("directory", type=Path)
        if name == "replay":
            command.add_argument(
                "--to",
                metavar="URL",
                default=os.environ.get(_DATABASE_VARIABLE),
                help=f"postgresql:// URL; ${_DATABASE_VARIABLE} when not given",
            )
    arguments = parser.parse_args(given)
    if arguments.command == "replay" and not arguments.to:
        parser.error(f"neither --to nor {_DATABASE_VARIABLE} says where to")
    return arguments


def _report(journal: KeptJournal, *, only_faults: bool) -> int:
    findings = list(journal.findings())
    for finding in findings:
        if not (only_faults and finding.is_sound):
            _say(_line(finding))
    records, missing = sum(f.records for f in findings), sum(f.missing for f in findings)
    damaged = sum(f.damaged_bytes for f in findings)
    _say(
        f"{len(findings)} segments, {records} records, {missing} missing, {damaged} bytes damaged"
    )
    return 0 if all(finding.is_sound for finding in findings) else 1


def _line(finding: Finding) -> str:
    times = "-"
    if finding.oldest and finding.newest:
        times = f"{finding.oldest:%Y-%m-%d %H:%M:%S} to {finding.newest:%Y-%m-%d %H:%M:%S}"
    faults = f"{finding.missing} missing, {finding.damaged_bytes} bytes damaged"
    state = "sound" if finding.is_sound else faults if finding.is_readable else "cannot be read"
    size = f"{finding.size:>10} B  {finding.records:>7} records"
    return f"{finding.path.name}  {size}  {times}  {state}"


async def _replay(journal: KeptJournal, url: str) -> int:
    async with open_database(url, application="podwarden-audit-replay") as database:
        tokens = TokenTable(database, os.environ.get(_QUERY_VARIABLE, DEFAULT_TOKEN_QUERY))
        writer = Writer(journal, Store(database), tokens.find_together)
        # To the end, or to the first failure: the operator can start it again.
        writer.drain()
        await writer.run()
    _say(f"{writer.progress.written} records written, {writer.quarantined} quarantined")
    if writer.problem is not None:
        return _failed(f"stopped: {writer.problem}")
    is_sound = all(finding.is_sound for finding in journal.findings())
    return 0 if is_sound and not writer.quarantined else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _failed(line: str) -> int:
    sys.stderr.write(line + "\n")
    return 1
