"""The arguments that all our programs take: `--help` and `--version`."""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

PROGRAM: Final = "podwarden-audit"
DISTRIBUTION: Final = "podwarden-audit-sidecar"
_EPILOG: Final = "Settings are environment variables: docs/settings.md."


def parse_no_arguments(arguments: Sequence[str] | None, program: str, description: str) -> None:
    """Exit with 0 after `--help` or `--version`, with 2 and a usage line for anything else given.

    Usage lines call the command *program*.
    """
    parser = argparse.ArgumentParser(prog=program, description=description, epilog=_EPILOG)
    add_version(parser)
    parser.parse_args(arguments)


def add_version(parser: argparse.ArgumentParser) -> None:
    """Let *parser* know `--version`."""
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")


def is_compiled() -> bool:
    """Say whether the modules that each call passes are compiled: see `hatch_build.py`."""
    found = find_spec("audit_log.clock")  # one of them, and it is not imported
    return found is not None and not str(found.origin).endswith(".py")


class _Version(argparse.Action):
    """Prints the version of this distribution, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  2 MiB

        try:
            found = version(DISTRIBUTION)
        except PackageNotFoundError:
            found = "(a checkout that is not installed)"
        if is_compiled():
            found += " (compiled)"
        sys.stdout.write(f"{PROGRAM} {found}\n")
        parser.exit()
