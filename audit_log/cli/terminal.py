"""How a command speaks to the operator."""

import sys


class CommandError(Exception):
    """What was asked for cannot be done. The message is for the operator."""


def say(line: str) -> None:
    """Tell the operator *line*, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
