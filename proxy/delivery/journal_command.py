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

from audit_log.delivery_loop import NamingSink
from audit_log.errors import StoreUnavailableError
from audit_log.plurals import counted
from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.process.logs import set_up_logs
from audit_log.tokens import DEFAULT_TOKEN_QUERY
from proxy.delivery.quarantined import replay_quarantined
from proxy.delivery.writer import Writer
from proxy.journal.folder import quarantine_of
from proxy.journal.journal_error import JournalError, JournalLockedError
from proxy.journal.kept_journal import Finding, KeptJournal
from proxy.journal.rings.orphaned_rings import (
    ListedRing,
    RingNotRemovedError,
    RingState,
    listed_rings,
    remove_ring,
)
from proxy.journal.rings.placement import SHARED_MEMORY

_DATABASE_VARIABLE = "AUDIT_LOG_DATABASE_URL"
_QUERY_VARIABLE = "PROXY_TOKEN_QUERY"
_RING_VARIABLE = "PROXY_JOURNAL_RING_DIR"
_DESCRIPTION = "List, verify or replay the records of a kept journal; list and remove its rings."


def main(given: Sequence[str], program: str = "python -m proxy.journal") -> int:
    """Do what the arguments *given* to *program* say; return the exit code.

    It is 0 only if everything was there and sound.
    """
    arguments = _arguments(given, program)
    set_up_logs("console", "warning")
    if arguments.command == "remove-ring":
        return _remove_rings(arguments.rings, discard=arguments.discard)
    if not arguments.directory.is_dir():
        return _failed(f"{arguments.directory} is not a directory")
    if arguments.command == "rings":
        return _list_rings(arguments.directory)
    if arguments.command == "replay" and arguments.quarantined:
        return asyncio.run(_replay_quarantined(arguments.directory, arguments.to))
    return _on_journal(arguments)


def _on_journal(arguments: argparse.Namespace) -> int:
    try:
        journal = KeptJournal(arguments.directory)
    except JournalLockedError:
        return _failed(
            f"{arguments.directory}: another process keeps its journal here; stop it first"
        )
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
            command.add_argument(
                "--quarantined",
                action="store_true",
                help="only the quarantined records; the sidecar may run meanwhile",
            )
    rings = commands.add_parser("rings", help="say which rings of this user lie in memory")
    rings.add_argument(
        "directory",
        type=Path,
        nargs="?",
        default=Path(os.environ.get(_RING_VARIABLE, SHARED_MEMORY)),
        help=f"${_RING_VARIABLE} when not given, else {SHARED_MEMORY}",
    )
    removal = commands.add_parser("remove-ring", help="remove rings whose journal is gone")
    removal.add_argument("rings", type=Path, nargs="+", metavar="RING")
    removal.add_argument(
        "--discard", action="store_true", help="also if a ring holds records that are nowhere else"
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
        f"{counted(len(findings), 'segment')}, {counted(records, 'record')}, {missing:,} missing,"
        f" {counted(damaged, 'byte')} damaged"
    )
    return 0 if all(finding.is_sound for finding in findings) else 1


def _line(finding: Finding) -> str:
    times = "-"
    if finding.oldest and finding.newest:
        times = f"{finding.oldest:%Y-%m-%d %H:%M:%S} to {finding.newest:%Y-%m-%d %H:%M:%S}"
    faults = f"{finding.missing:,} missing, {counted(finding.damaged_bytes, 'byte')} damaged"
    state = "sound" if finding.is_sound else faults if finding.is_readable else "cannot be read"
    size = f"{finding.size:>10} B  {finding.records:>7} records  {finding.events:>3} events"
    return f"{finding.path.name}  {size}  {times}  {state}"


async def _replay(journal: KeptJournal, url: str) -> int:
    async with open_database(url, application="podwarden-audit-replay") as database:
        tokens = TokenTable(database, os.environ.get(_QUERY_VARIABLE, DEFAULT_TOKEN_QUERY))
        writer = Writer(journal, Store(database), tokens.find_together)
        # To the end, or to the first failure: the operator can start it again.
        writer.drain()
        await writer.run()
    _say(f"{counted(writer.progress.written, 'record')} written, {writer.quarantined} quarantined")
    if writer.problem is not None:
        return _failed(f"stopped: {writer.problem}")
    is_sound = all(finding.is_sound for finding in journal.findings())
    return 0 if is_sound and not writer.quarantined else 1


async def _replay_quarantined(directory: Path, url: str) -> int:
    file = quarantine_of(directory)
    if not file.exists():
        _say("0 quarantined records: nothing to write")
        return 0
    async with open_database(url, application="podwarden-audit-replay") as database:
        tokens = TokenTable(database, os.environ.get(_QUERY_VARIABLE, DEFAULT_TOKEN_QUERY))
        try:
            done = await replay_quarantined(
                file, NamingSink(Store(database), tokens.find_together)
            )
        except (StoreUnavailableError, OSError) as error:
            return _failed(f"stopped: {error}")
    _say(f"{done.written} written, {done.refused} refused again, {done.unreadable} unreadable")
    if done.refused or done.unreadable:
        return _failed(f"{file} must be kept" + (done.reason and f": {done.reason}"))
    _say(f"{file} can be removed now")
    return 0


def _list_rings(directory: Path) -> int:
    rings = listed_rings([directory])
    for ring in rings:
        _say(_ring_line(ring))
    orphaned = [ring for ring in rings if ring.state is RingState.ORPHANED]
    size = sum(ring.size for ring in orphaned)
    take = "takes" if len(orphaned) == 1 else "take"
    _say(f"{counted(len(rings), 'ring')}, {len(orphaned)} orphaned, which {take} {size:,} bytes")
    return 1 if orphaned else 0


def _ring_line(ring: ListedRing) -> str:
    owner = ring.file.owner
    folder = owner.path if owner.path != Path() else "unknown: made before version 0.2"
    count: int | str | None = "-"
    if ring.state is not RingState.IN_USE:
        count = ring.file.unmoved().count
    records = "unknown" if count is None else count
    return (
        f"{ring.file.path}  {ring.size:>10} B  {ring.state}"
        f"  records only here: {records}  journal: {folder}"
    )


def _remove_rings(rings: Sequence[Path], *, discard: bool) -> int:
    code = 0
    for path in rings:
        try:
            remove_ring(path, discard=discard)
        except (RingNotRemovedError, OSError) as error:
            code = _failed(str(error))
        else:
            _say(f"{path} is removed")
    return code


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _failed(line: str) -> int:
    sys.stderr.write(line + "\n")
    return 1
