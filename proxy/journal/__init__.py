"""The journal: records wait here, safe from kills, dead databases and stalled disks."""

from proxy.journal.batch import Batch
from proxy.journal.directory import holds_records
from proxy.journal.errors import JournalError, JournalLockedError
from proxy.journal.journal import MANY_BYTES, Journal, open_journal
from proxy.journal.parts import DEFAULT_LIMITS, Limits
from proxy.journal.text import Facts, RecordText, ending, opening

__all__ = [
    "DEFAULT_LIMITS",
    "MANY_BYTES",
    "Batch",
    "Facts",
    "Journal",
    "JournalError",
    "JournalLockedError",
    "Limits",
    "RecordText",
    "ending",
    "holds_records",
    "open_journal",
    "opening",
]
