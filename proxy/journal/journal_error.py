"""Errors of opening a journal. An open journal raises none of them."""


class JournalError(Exception):
    """The journal cannot be opened. The message is one readable line."""


class JournalLockedError(JournalError):
    """Another process writes to this journal folder."""


class RingDamagedError(JournalError):
    """A ring or calls file that the sidecar did not write, or whose contents are inconsistent."""
