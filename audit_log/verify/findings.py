"""What a verification tells: findings, remarks, and the verdict that follows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from audit_log.plurals import agreeing


class Verdict(IntEnum):
    """What the command exits with."""

    GENUINE = 0
    TAMPERED = 1
    CANNOT_TELL = 2


class Kind(StrEnum):
    """What was found. The verdict of each kind is fixed."""

    ALTERED = "altered"
    DELETED = "deleted"
    INSERTED = "inserted"
    TAKEN_TWICE = "taken_twice"
    SWAPPED = "swapped"
    FORKED = "forked"
    ROLLED_BACK = "rolled_back"
    OTHER_KEY = "checkpoint_of_another_key"
    TILE_ALTERED = "tile_altered"
    NOTE_ALTERED = "note_altered"
    UNKNOWN_LOG = "unknown_log"
    SILENT_LOG = "silent_log"
    NOT_ANCHORED = "not_anchored"
    NOT_WITNESSED = "not_witnessed"
    NOT_PROVED = "not_proved"
    AGE_NOT_PROVED = "age_not_proved"
    NOT_ARRIVED = "not_arrived"

    @property
    def verdict(self) -> Verdict:
        """TAMPERED or CANNOT_TELL."""
        return Verdict.CANNOT_TELL if self in _UNDECIDED else Verdict.TAMPERED


_UNDECIDED = frozenset(
    {
        Kind.UNKNOWN_LOG,
        Kind.SILENT_LOG,
        Kind.NOT_ANCHORED,
        Kind.NOT_WITNESSED,
        Kind.NOT_PROVED,
        Kind.AGE_NOT_PROVED,
        Kind.NOT_ARRIVED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it was sealed, or that cannot be judged."""

    kind: Kind
    what: str
    """A sentence for the operator, without the place and the times."""
    first: int | None = None
    last: int | None = None
    """The places, both included."""
    since: datetime | None = None
    until: datetime | None = None
    """Between which times it lies, as far as is known."""
    notes: tuple[str, ...] = ()
    """The signed notes that contradict each other."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is no alarm, but has to be said."""

    kind: str
    count: int
    what: str


@dataclass(slots=True, kw_only=True)
class LogReport:
    """What was found of one log."""

    origin: str
    instance: str = ""
    size: int = 0
    """Of the newest checkpoint that a trusted key has signed."""
    proved: int = 0
    """How many leaves were computed anew and give a signed root."""
    first: int = 0
    """The first place that this run has read: before it an earlier run has verified."""
    rows: int = 0
    """How many rows were checked."""
    complete_until: datetime | None = None
    """The time of the newest leaf that a checkpoint kept elsewhere covers."""
    words: list[str] = field(default_factory=list)
    """By whose word: each says who, and up to which size."""
    findings: list[Finding] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def say(self, kind: str, count: int, what: str) -> None:
        """Add a remark, if there is anything to count; *what* agrees, as `plurals` says."""
        if count:
            self.remarks.append(Remark(kind, count, agreeing(count, what)))


@dataclass(slots=True, kw_only=True)
class Report:
    """What a verification found."""

    at: datetime
    logs: list[LogReport]
    findings: list[Finding]
    """Of no log that is known."""
    remarks: list[Remark]

    @property
    def verdict(self) -> Verdict:
        """TAMPERED if anything is, else CANNOT_TELL if anything cannot be told."""
        of_logs = [finding for log in self.logs for finding in log.findings]
        return verdict_of([*self.findings, *of_logs])


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Return the gravest verdict of *findings*."""
    verdicts = {finding.kind.verdict for finding in findings}
    for verdict in (Verdict.TAMPERED, Verdict.CANNOT_TELL):
        if verdict in verdicts:
            return verdict
    return Verdict.GENUINE
