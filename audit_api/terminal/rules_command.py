"""`podwarden-audit rules`: says whether rules are right, and what they would have told."""

import argparse
import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from audit_api.client.audit_client import AuditClient
from audit_api.rules.past import Past, tested
from audit_api.rules.rule import Rule
from audit_api.rules.rules_file import read_rules
from audit_api.terminal.columns import ENTRIES, TOOL_CALLS
from audit_api.terminal.command_line import add_source
from audit_api.terminal.filter_words import FilterError, in_words, read_filters
from audit_api.terminal.listing import remark_gaps
from audit_api.terminal.main import asking, done
from audit_api.terminal.progress import progress
from audit_api.terminal.screen import Screen
from audit_log.process.program import add_version

FILE: Final = "AUDIT_PUSH_RULES_FILE"
_EPILOG: Final = f"""\
`test` reads from PODWARDEN_AUDIT_URL with PODWARDEN_AUDIT_TOKEN, or from AUDIT_LOG_DATABASE_URL
itself. FILE is that of {FILE} unless it is given.
exit status: 0 done; 1 failed; 2 wrong usage, or no rule of that name; 75 not now, try again;
77 not allowed; 78 the file, a rule in it or a setting is missing or wrong.
"""


def main(arguments: Sequence[str], program: str) -> int:
    """Run what *arguments* ask for; return the exit status, after one line if it failed."""
    parser = _parser(program)
    options = parser.parse_args(arguments)
    if options.file is None:
        parser.error(f"name the file of the rules, or set {FILE}")
    if options.command == "check":
        return done(lambda: _check(options.file))
    return done(lambda: asyncio.run(_test(options)))


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Check the rules of a file, or test them against the past.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="check|test")
    check = commands.add_parser("check", help="say whether the rules are right, or what is wrong")
    check.add_argument("file", type=Path, nargs="?", default=_file(), metavar="FILE")
    test = commands.add_parser("test", help="say how often rules would have fired")
    test.add_argument("rule", nargs="?", metavar="RULE", help="one of them; all if not given")
    test.add_argument("--file", type=Path, default=_file(), metavar="FILE", help=f"({FILE})")
    test.add_argument("--since", default="7d", metavar="TIME", help="15m, 2h, 7d, … (7d)")
    add_source(test)
    return parser


def _file() -> Path | None:
    given = os.environ.get(FILE)
    return Path(given) if given else None


def _check(file: Path) -> None:
    rules = read_rules(file)
    names = ", ".join(rule.name for rule in rules)
    Screen(is_local=False).line(f"{file}: {_counted(len(rules), 'rule')}, all right: {names}")


async def _test(options: argparse.Namespace) -> None:
    rules = read_rules(options.file)
    if options.rule is not None:
        rules = [rule for rule in rules if rule.name == options.rule]
        if not rules:
            raise FilterError(f"{options.file} has no rule `{options.rule}`")
    now = datetime.now(UTC)
    zone = now.astimezone() if options.local else now
    since, until = read_filters([f"since={options.since}"], zone)["since"], now.isoformat()
    screen = Screen(is_local=options.local)
    async with asking(options) as client:
        for rule in rules:
            past = await _past(client, screen, rule, since, until)
            if options.json:
                screen.line(_as_json(rule, past, since, until))
            else:
                _show(screen, rule, past, in_words(options.since))
        await remark_gaps(client, screen, {"since": since})


async def _past(client: AuditClient, screen: Screen, rule: Rule, since: str, until: str) -> Past:
    with progress(screen) as shown:
        return await tested(client, rule, since, until, shown.add)


def _show(screen: Screen, rule: Rule, past: Past, span: str) -> None:
    what = "tool call" if rule.is_of_tool_calls else "call"
    joined = f", for {_counted(past.calls, what)}" if past.calls > past.fired else ""
    screen.line(f"{rule.name}: would have fired {_counted(past.fired, 'time')} {span}{joined}")
    if past.newest:
        listing = TOOL_CALLS if rule.is_of_tool_calls else ENTRIES
        newest = msgspec.convert([*reversed(past.newest)], list[listing.shape])  # type: ignore[name-defined]
        screen.titles(listing.columns)
        screen.rows(listing.columns, [listing.row(each, screen.moment) for each in newest])
        screen.line()


def _as_json(rule: Rule, past: Past, since: str, until: str) -> str:
    told = {
        "rule": rule.name,
        "since": since,
        "until": until,
        "fired": past.fired,
        "calls": past.calls,
        "newest": [*reversed(past.newest)],
    }
    return msgspec.json.encode(told).decode()


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
