"""The journal: records wait here, safe from kills, database outages and stalled disks."""

from proxy.journal.batch import Batch
from proxy.journal.batch_source import MANY_BYTES
from proxy.journal.folder import holds_records
from proxy.journal.journal import Journal, open_journal
from proxy.journal.journal_error import JournalError, JournalLockedError
from proxy.journal.parts import DEFAULT_LIMITS, Limits
from proxy.journal.rings.going_back import Before

__all__ = [
    "DEFAULT_LIMITS",
    "MANY_BYTES",
    "Batch",
    "Before",
    "Journal",
    "JournalError",
    "JournalLockedError",
    "Limits",
    "holds_records",
    "open_journal",
]
