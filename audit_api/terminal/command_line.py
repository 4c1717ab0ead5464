"""The arguments of `podwarden-audit query` and the other commands that read the log."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audit_api.sources.source import DATABASE_URL, TOKEN, URL
from audit_api.terminal.ranking import KEYS
from audit_api.terminal.reading_commands import SUMMARIES
from audit_log.process.program import add_version

FORMATS: Final = ("ndjson", "csv", "ocsf")
_PART: Final = 10_000
EPILOG: Final = f"""\
FILTER is name=value, by the names of docs/api.md: status=4xx method=POST path=/api/v1/x
since=2h until=yesterday 'token_name!=ci'. All must match. Times: ISO 8601, or 15m, 2h, 7d ago,
today, yesterday.

reads from {URL} with {TOKEN}, or from {DATABASE_URL} itself.
exit status: 0 done; 1 failed or not found; 2 wrong usage or filter; 75 not now, try again;
77 not allowed; 78 a setting is missing or wrong; 130 interrupted; 141 the pipe has no reader.
"""


def parser_of(command: str, program: str) -> argparse.ArgumentParser:
    """Return the parser of *command*; usage lines call the first word *program*."""
    summary = SUMMARIES[command]
    parser = argparse.ArgumentParser(
        prog=f"{program} {command}",
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(parser)
    _ADD[command](parser)
    add_source(parser)
    return parser


def parse(arguments: Sequence[str], program: str) -> argparse.Namespace:
    """Return what *arguments* ask for: a command, and what it takes.

    Exits with 2 and a usage line if they are wrong.
    """
    command, *given = arguments
    parser = parser_of(command, program)
    options = parser.parse_intermixed_args(given)  # filters may stand before and behind options
    if command == "export" and options.follow and options.mark_file is None:
        parser.error("--follow needs --mark-file")
    if command == "tail" and options.mark_file is not None and not options.follow:
        parser.error("--mark-file needs --follow")
    options.command = command
    return options


def _query(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    _add_limit(parser, 100)
    of = parser.add_mutually_exclusive_group()
    of.add_argument("--tool-calls", action="store_true", help="tool calls in place of entries")
    of.add_argument(
        "--timeline", action="store_true", help="tool calls with their API calls, and all others"
    )
    of.add_argument("--gaps", action="store_true", help="spans with missing records")


def _tail(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    parser.add_argument(
        "-n", "--lines", type=_number, default=10, metavar="N", help="how many (10)"
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with what arrives, through outages"
    )
    _add_tool_calls(parser)
    _add_mark_file(parser)


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id", metavar="ID", help="of an entry, tool call, session or token; or a token's name"
    )
    parser.add_argument(
        "--around",
        type=_number,
        metavar="MINUTES",
        nargs="?",
        const=5,
        help="also the entries so many minutes before and after (5)",
    )


def _export(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    parser.add_argument("--format", choices=FORMATS, default="ndjson", help="(ndjson)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="in place of the output")
    _add_tool_calls(parser)
    _add_mark_file(parser)
    parser.add_argument(
        "--part", type=_number, default=_PART, metavar="N", help="entries for each mark (10000)"
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="with --mark-file: go on with what arrives"
    )


def _top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("by", metavar="BY", help=", ".join(KEYS))
    _add_filters(parser)
    _add_top(parser)


def _objects(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    _add_top(parser)
    parser.add_argument("--reads", action="store_true", help="also objects that were only read")


def _list(parser: argparse.ArgumentParser) -> None:
    _add_filters(parser)
    _add_limit(parser, 100)


def _sign_in_link(_parser: argparse.ArgumentParser) -> None:
    """Add nothing: it takes what all take."""


_ADD: Final = {
    "query": _query,
    "tail": _tail,
    "show": _show,
    "export": _export,
    "top": _top,
    "objects": _objects,
    "sessions": _list,
    "reads": _list,
    "sign-in-link": _sign_in_link,
}


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("filters", nargs="*", metavar="FILTER", help="see below")


def _add_limit(parser: argparse.ArgumentParser, default: int) -> None:
    how_many = parser.add_mutually_exclusive_group()
    how_many.add_argument(
        "--limit", type=_number, default=default, metavar="N", help=f"how many at most ({default})"
    )
    how_many.add_argument("--all", action="store_true", help="however many there are")


def _add_top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--limit", type=_number, default=10, metavar="N", help="how many at most (10; 100)"
    )


def _add_tool_calls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tool-calls", action="store_true", help="tool calls in place of entries")


def _add_mark_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mark-file",
        type=Path,
        metavar="FILE",
        help="go on where the run before ended, also after a kill",
    )


def add_source(parser: argparse.ArgumentParser) -> None:
    """Let *parser* take where the log is read, and how it is shown."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--local", action="store_true", help="times of this machine, not UTC")
    where = parser.add_argument_group("where the log is read")
    where.add_argument("--url", help=f"the audit API ({URL})")
    where.add_argument("--token", help=f"others on this machine can see it: rather {TOKEN}")
    where.add_argument("--token-file", type=Path, metavar="FILE", help="a file with the token")
    where.add_argument("--database-url", metavar="URL", help=f"the database ({DATABASE_URL})")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:10]) < 10**9:
        raise argparse.ArgumentTypeError(f"`{text}` is no number from 1 on")
    return int(text)
