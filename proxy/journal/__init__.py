"""The journal: records wait here, safe from kills, database outages and stalled disks."""

from proxy.journal.batch import Batch
from proxy.journal.batch_source import MANY_BYTES
from proxy.journal.folder import holds_records
from proxy.journal.journal import Journal, open_journal
from proxy.journal.journal_error import JournalError, JournalLockedError
from proxy.journal.parts import DEFAULT_LIMITS, Limits
from proxy.journal.ring_header import Place

__all__ = [
    "DEFAULT_LIMITS",
    "MANY_BYTES",
    "Batch",
    "Journal",
    "JournalError",
    "JournalLockedError",
    "Limits",
    "Place",
    "holds_records",
    "open_journal",
]
