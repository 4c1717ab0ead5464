"""Trust policies of c2sp.org/tlog-policy: which logs are believed, and on whose word."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from audit_log.errors import SignatureError
from audit_log.seal.checkpoint import Checkpoint, open_checkpoint
from audit_log.seal.cosignature import Cosignature, cosignatures
from audit_log.seal.keys import VerifierKey
from audit_log.seal.note import Note

NO_QUORUM: Final = "none"
"""The quorum of a policy that believes logs without a witness."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is believed. Its key's name is its origin."""

    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness, by its name in the policy; the name of its key is another matter."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses, and groups defined before it: it has cosigned when *threshold* of them have."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint that a policy accepts, and when which of its witnesses cosigned it."""

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a verifier believes. `str()` gives the file; `policy_file.parse_policy` reads one."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NO_QUORUM
    """The name of the witness or group that has to have cosigned, or NO_QUORUM."""

    def __str__(self) -> str:
        """Return the policy as a file's text."""
        return "".join(f"{' '.join(items)}\n" for items in self._lines())

    def open(self, note: Note) -> Witnessed:
        """Return the checkpoint of *note* when this policy accepts it.

        Raise SealFormatError when it is no checkpoint; SignatureError when no log of the policy
        signed it, too few witnesses cosigned it, or one of these signatures is wrong.
        """
        checkpoint = open_checkpoint(note, [log.key for log in self.logs])
        found = cosignatures(note, [witness.key for witness in self.witnesses])
        keys = {cosignature.witness for cosignature in found}
        names = [witness.name for witness in self.witnesses if witness.key in keys]
        if not self.is_met_by(names):
            raise SignatureError(
                f"the checkpoint of {checkpoint.origin} at {checkpoint.size} lacks cosignatures: "
                f"the quorum is {self.quorum}, cosigned have {', '.join(names) or 'none'}"
            )
        return Witnessed(checkpoint, tuple(found))

    def is_met_by(self, names: Iterable[str]) -> bool:
        """Say whether cosignatures of the witnesses of these *names* are enough."""
        cosigned = {NO_QUORUM, *names}
        # Each group names only what stands before it.
        for group in self.groups:
            if len(cosigned.intersection(group.members)) >= group.threshold:
                cosigned.add(group.name)
        return self.quorum in cosigned

    def _lines(self) -> Iterator[tuple[str, ...]]:
        """Yield the items of each line."""
        for log in self.logs:
            yield ("log", str(log.key), *([log.url] if log.url else []))
        for witness in self.witnesses:
            url = [witness.url] if witness.url else []
            yield ("witness", witness.name, str(witness.key), *url)
        for group in self.groups:
            yield ("group", group.name, str(group.threshold), *group.members)
        yield ("quorum", self.quorum)
