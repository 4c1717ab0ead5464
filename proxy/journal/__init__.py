"""The journal: records wait here, safe from kills, database outages and stalled disks."""

from proxy.journal.batch import STORE_LOST, Batch
from proxy.journal.batch_source import MANY_BYTES
from proxy.journal.folder import holds_records
from proxy.journal.intake import Intake
from proxy.journal.journal import Journal, open_journal, reading, taking_in
from proxy.journal.journal_error import JournalError, JournalLockedError
from proxy.journal.parts import DEFAULT_LIMITS, Limits, Parts, open_parts
from proxy.journal.ring_header import Place

__all__ = [
    "DEFAULT_LIMITS",
    "MANY_BYTES",
    "STORE_LOST",
    "Batch",
    "Intake",
    "Journal",
    "JournalError",
    "JournalLockedError",
    "Limits",
    "Parts",
    "Place",
    "holds_records",
    "open_journal",
    "open_parts",
    "reading",
    "taking_in",
]
