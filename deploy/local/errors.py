"""What keeps everything from running on this machine, in one line for the person at it."""


class CannotRunError(Exception):
    """The message says what is in the way and, where we know it, what to do."""
