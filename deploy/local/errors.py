"""The error that keeps the local run from starting: one line for the operator."""


class CannotRunError(Exception):
    """The message names the cause and, where it is known, the remedy."""
