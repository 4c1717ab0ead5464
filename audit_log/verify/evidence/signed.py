"""The checkpoints of one log that a trusted key has signed, and who else has seen each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from audit_log.errors import SealError
from audit_log.seal.checkpoint import Checkpoint, open_checkpoint
from audit_log.seal.cosignature import Cosignature, cosignatures
from audit_log.seal.keys import VerifierKey
from audit_log.seal.note import Note, Signature, parse_signatures
from audit_log.seal.policy import NO_QUORUM, Policy
from audit_log.verify.ages import moment
from audit_log.verify.evidence.anchored import Anchored
from audit_log.verify.findings import Finding, Kind
from audit_log.verify.roots import Equation
from audit_log.verify.stored.stored_seal import Receipt, StoredCheckpoint

DATABASE = "the database"


@dataclass(slots=True)
class Signed:
    """A checkpoint of the log's key."""

    checkpoint: Checkpoint
    note: Note
    signers: set[bytes] = field(default_factory=set)
    """The public keys of the log that signed it."""
    sources: dict[str, datetime | None] = field(default_factory=dict)
    """Where it is kept beside the database, and since when, as far as that is known."""
    cosignatures: list[Cosignature] = field(default_factory=list)
    is_witnessed: bool = False
    """Whether a quorum, which the policy asks for, has cosigned it."""
    arrived_at: datetime | None = None
    """When the database got it last, by its own word; None if it has it not."""

    @property
    def equation(self) -> Equation:
        """What it says of the leaves."""
        return Equation(self.checkpoint.size, self.checkpoint.root)

    @property
    def is_kept_elsewhere(self) -> bool:
        """Whether anyone but the database has it."""
        return bool(self.sources) or self.is_witnessed

    @property
    def seen_by(self) -> datetime | None:
        """A time at which all its leaves were there."""
        times = [at for at in self.sources.values() if at is not None]
        times += [at for c in self.cosignatures if (at := moment(c.time)) is not None]
        return min(times, default=None)

    def words(self) -> Iterable[str]:
        """Yield who has seen it."""
        yield from self.sources
        for cosignature in self.cosignatures:
            yield f"witness {cosignature.witness.name}"


@dataclass(slots=True)
class Checkpoints:
    """All of one log, the smallest first."""

    signed: list[Signed] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    needs_witness: bool = False
    """Whether the policy asks for cosignatures."""

    @property
    def size(self) -> int:
        """The largest size that was signed."""
        return max((one.checkpoint.size for one in self.signed), default=0)

    @property
    def stored_size(self) -> int:
        """The largest size of which the database has the checkpoint."""
        sizes = [one.checkpoint.size for one in self.signed if one.arrived_at is not None]
        return max(sizes, default=0)

    def elsewhere(self) -> list[Signed]:
        """Return those that are kept elsewhere."""
        return [one for one in self.signed if one.is_kept_elsewhere]


class Collector:
    """Collects the checkpoints of one log, and opens each."""

    def __init__(self, keys: Sequence[VerifierKey], policy: Policy) -> None:
        """*keys* have the log's origin as their name."""
        self._keys, self._policy = keys, policy
        self._found: dict[str, Signed] = {}
        self._findings: list[Finding] = []
        self._lines: dict[int, set[Signature]] = {}

    def collect(
        self,
        stored: Iterable[StoredCheckpoint],
        anchored: Iterable[Anchored],
        receipts: Iterable[Receipt],
    ) -> Checkpoints:
        """Return what is signed, of what the database and the anchors hold."""
        for checkpoint in stored:
            one = self._open(checkpoint.note, DATABASE)
            if one is not None:
                one.arrived_at = checkpoint.arrived_at
                if checkpoint.size != one.checkpoint.size:
                    self._complain(f"{DATABASE} keeps it under another size", one.note)
        for anchor in anchored:
            one = self._open(str(anchor.note), anchor.source)
            if one is not None:
                one.sources[anchor.source] = anchor.at
        for receipt in receipts:
            self._take_lines(receipt)
        for one in self._found.values():
            self._cosigned(one)
        ordered = sorted(self._found.values(), key=lambda one: one.equation)
        return Checkpoints(
            ordered,
            [*self._findings, *_forks(ordered)],
            needs_witness=self._policy.quorum != NO_QUORUM,
        )

    def _open(self, text: str, source: str) -> Signed | None:
        try:
            note = Note.parse(text)
            one = self._found.get(note.text)
            if one is None:
                checkpoint = open_checkpoint(note, self._keys)
                one = self._found[note.text] = Signed(checkpoint, note)
            else:
                note.signed_by(self._keys)
        except SealError as error:
            self._complain(f"a checkpoint in {source} is not the log's: {error}", text)
            return None
        lines = self._lines.setdefault(one.checkpoint.size, set())
        lines.update(note.signatures)
        # Each line of a key of ours was verified.
        one.signers |= {
            key.public for key in self._keys if any(line.is_of(key) for line in note.signatures)
        }
        return one

    def _take_lines(self, receipt: Receipt) -> None:
        """Take the cosignatures of a receipt; others, as time stamps, are of no use here."""
        try:
            lines = parse_signatures(receipt.receipt.rstrip("\n") + "\n")
        except SealError:
            return
        self._lines.setdefault(receipt.size, set()).update(lines)

    def _cosigned(self, one: Signed) -> None:
        """Find who has cosigned; a line that is wrong counts for nothing."""
        lines = self._lines.get(one.checkpoint.size, set())
        found: dict[VerifierKey, Cosignature] = {}
        for witness in self._policy.witnesses:
            for line in (line for line in lines if line.is_of(witness.key)):
                try:
                    [cosignature] = cosignatures(Note(one.note.text, (line,)), [witness.key])
                except SealError:
                    continue
                earlier = found.get(witness.key)
                if earlier is None or cosignature.time < earlier.time:
                    found[witness.key] = cosignature
        one.cosignatures = list(found.values())
        names = [witness.name for witness in self._policy.witnesses if witness.key in found]
        one.is_witnessed = bool(names) and self._policy.is_met_by(names)

    def _complain(self, what: str, note: Note | str) -> None:
        if len(self._findings) < 100:  # noqa: PLR2004 - more say nothing new
            self._findings.append(Finding(kind=Kind.OTHER_KEY, what=what, notes=(str(note),)))


def _forks(ordered: Sequence[Signed]) -> Iterable[Finding]:
    """Yield the sizes that have two roots."""
    for size, same in groupby(ordered, key=lambda one: one.checkpoint.size):
        notes = [str(one.note) for one in same]
        if len(notes) > 1:
            yield Finding(
                kind=Kind.FORKED,
                what=f"the log has signed two different trees of size {size}",
                first=0,
                last=size - 1,
                notes=tuple(notes),
            )
