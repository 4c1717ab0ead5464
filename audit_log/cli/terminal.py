"""Output of commands to the operator."""

import sys


class CommandError(Exception):
    """The command cannot be done. The message is for the operator."""


def say(line: str) -> None:
    """Write *line* to standard output, unbuffered."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
