"""The arguments of `python -m audit_log`."""

import argparse
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from audit_log.process.program import add_version
from audit_log.tokens import ROLES

_EXIT_CODES: Final = "Exits with 0, with 1 if that failed, with 78 if a setting is wrong."
_DESCRIPTION: Final = "Make and keep the schema, and tokens where PodWarden has no table."
_DEFAULT_EXPIRY_DAYS: Final = 90
_MAX_EXPIRY_DAYS: Final = 365


def parse(arguments: Sequence[str] | None, program: str) -> argparse.Namespace:
    """Return what *arguments* ask for; usage lines call the command *program*.

    Exits with 2 and a usage line if they are wrong, with 0 after `--help`.
    """
    parser = argparse.ArgumentParser(prog=program, description=_DESCRIPTION)
    add_version(parser)
    commands = parser.add_subparsers(dest="command", required=True)
    _add(commands, "migrate", "bring the schema up to date")
    purge = _add(
        commands,
        "purge",
        "remove what AUDIT_LOG_RETENTION_DAYS and AUDIT_LOG_MAX_BYTES do not keep",
    )
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
    _add_token_actions(token.add_subparsers(dest="action", required=True))
    return parser.parse_args(arguments)


def _add_token_actions(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    create = _add(actions, "create", "make a token; its secret is shown once")
    create.add_argument("name", type=_token_name, help="what the log calls it")
    create.add_argument("--role", choices=ROLES, required=True, help="what it may do")
    create.add_argument(
        "--expiry-days",
        type=_expiry_days,
        default=_DEFAULT_EXPIRY_DAYS,
        help=f"days until it expires ({_DEFAULT_EXPIRY_DAYS})",
    )
    create.add_argument("--owner", type=_token_name, help="who has it, for readers of the log")
    create.add_argument("--description", type=_token_name, help="what it is for")
    _add(actions, "list", "list all tokens, without their secrets")
    revoke = _add(actions, "revoke", "make a token invalid from now on")
    revoke.add_argument("id", type=_token_id, help="as `token list` shows it")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str
) -> argparse.ArgumentParser:
    """Return the parser of a new command, whose own help begins with *summary* too."""
    description = f"{summary[0].upper()}{summary[1:]}. {_EXIT_CODES}"
    return commands.add_parser(name, help=summary, description=description)


def _token_name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise argparse.ArgumentTypeError("this must be printable text and not blank")
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
