"""`podwarden-audit COMMAND`: one program for the services and their tools.

Each command calls the main function of the module that `python -m` runs, with the arguments passed
on. The module is imported when its command runs and not before: `--help` and `--version` load
nothing, and the audit API does not load the sidecar.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from audit_api.terminal.reading_commands import SUMMARIES
from audit_log.process.program import PROGRAM, add_version

_WRONG_USAGE: Final = 2
_INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell says it
_BROKEN_PIPE: Final = 141  # 128 + SIGPIPE


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what it does, and the module whose `main` does it."""

    summary: str
    module: str
    words: tuple[str, ...] = ()
    """What comes before the arguments, where one `main` knows several commands."""


COMMANDS: Final = {
    "proxy": Command("run the sidecar, until stopped", "proxy.__main__"),
    "api": Command("run the audit API, until stopped", "audit_api.__main__"),
    "ingest": Command(
        "bring records from NATS into PostgreSQL, until stopped",
        "audit_log.__main__",
        words=("ingest",),
    ),
    "push": Command(
        "push the log to OTLP and syslog, and rules to a webhook, until stopped",
        "audit_api.push.push_service",
    ),
    "check": Command("say whether a service could start and do its work", "deploy.checks.command"),
    "health": Command("ask the service in this container how it is", "deploy.healthcheck"),
    "migrate": Command("bring the schema up to date", "audit_log.__main__", words=("migrate",)),
    "purge": Command(
        "remove what the retention does not keep", "audit_log.__main__", words=("purge",)
    ),
    "verify": Command(
        "say whether the audit log is what its sidecars sealed", "audit_log.verify.command"
    ),
    "convert": Command(
        "partition an adopted table, while it is in use", "audit_log.__main__", words=("convert",)
    ),
    "token": Command("manage tokens in our own table", "audit_log.__main__", words=("token",)),
    **{
        name: Command(summary, "audit_api.terminal.main", words=(name,))
        for name, summary in SUMMARIES.items()
    },
    "rules": Command(
        "check rules of one's own, or test them against the past",
        "audit_api.terminal.rules_command",
    ),
    "completion": Command("print the completion of a shell", "deploy.completion"),
    "seal": Command(
        "show the keys of the seal, or a policy to verify with", "deploy.seal_command"
    ),
    "journal": Command(
        "list, verify or replay a kept journal; list or remove rings",
        "proxy.delivery.journal_command",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in *arguments*; return its exit code: 78 when a setting is wrong."""
    _open_what_is_closed()
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if not given:
        parser.print_help(sys.stderr)
        return _WRONG_USAGE
    options = parser.parse_args(given)
    try:
        return _run(options.command, options.arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # What reads our output has seen enough, as `head` does. Flushing at exit must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Record which MCP token called what on the PodWarden API.",
        epilog="\n".join(
            [
                "commands:",
                *(f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()),
                "",
                f"{PROGRAM} COMMAND --help says more. Settings are environment variables;",
                "a command that misses one names it and exits with 78.",
            ]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(parser)
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="one of those below")
    parser.add_argument(
        "arguments", metavar="…", nargs=argparse.REMAINDER, help="what the command takes"
    )
    return parser


def _run(name: str, arguments: Sequence[str]) -> int:
    command = COMMANDS[name]
    # A main that knows several commands adds the command's name to usage lines itself.
    program = PROGRAM if command.words else f"{PROGRAM} {name}"
    with _ended_by_interrupt():
        module = import_module(command.module)
    return int(module.main([*command.words, *arguments], program))


def _open_what_is_closed() -> None:
    """Give a program without standard streams (`>&-`) some without a reader."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - until the end


@contextmanager
def _ended_by_interrupt() -> Iterator[None]:
    """Have SIGINT end this process at once while modules are imported.

    Python drops a KeyboardInterrupt that it raises in a weakref's callback, and imports make many:
    the command would go on. Where SIGINT is ignored, it stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())
