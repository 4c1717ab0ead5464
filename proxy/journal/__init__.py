"""The journal: records wait here, safe from kills, dead databases and stalled disks."""

from proxy.journal.batch import Batch
from proxy.journal.errors import JournalError, JournalLockedError
from proxy.journal.journal import Journal, open_journal
from proxy.journal.parts import DEFAULT_LIMITS, Limits

__all__ = [
    "DEFAULT_LIMITS",
    "Batch",
    "Journal",
    "JournalError",
    "JournalLockedError",
    "Limits",
    "open_journal",
]
