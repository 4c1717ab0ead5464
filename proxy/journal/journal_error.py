"""What can stop a journal from being opened. Once it is open it raises nothing at its callers."""


class JournalError(Exception):
    """The journal cannot be opened. The message is one readable line."""


class JournalLockedError(JournalError):
    """Another process writes to this journal folder."""


class RingDamagedError(JournalError):
    """A ring or calls file was found that we did not write, or that makes no sense."""
