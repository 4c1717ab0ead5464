"""Which logs are to be verified: those that a key of the policy signs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from audit_log.errors import SealFormatError
from audit_log.seal.checkpoint import Checkpoint
from audit_log.seal.keys import NOTE, VerifierKey
from audit_log.seal.places import log_of
from audit_log.seal.policy import Policy
from audit_log.verify.evidence.anchored import Anchored
from audit_log.verify.findings import Finding, Kind
from audit_log.verify.stored.stored_seal import StoredLog


@dataclass(frozen=True, slots=True)
class Subject:
    """A log to be verified."""

    origin: str
    keys: tuple[VerifierKey, ...]
    """Those of the policy, under this log's name: workers of one sidecar share a key."""
    is_in_policy: bool
    """Whether the policy names the log, and not only its key."""

    @property
    def log(self) -> int:
        """What rows name it by."""
        return log_of(self.origin)

    @property
    def instance(self) -> str:
        """The sidecar that it is of, as its origin says."""
        return unquote(self.origin.rpartition("/")[0].partition("/")[2])


@dataclass(frozen=True, slots=True)
class Subjects:
    """The logs that are known, and those that are not."""

    known: list[Subject]
    findings: list[Finding]


def subjects_of(
    policy: Policy, stored: Iterable[StoredLog], anchored: Sequence[Anchored]
) -> Subjects:
    """Return the logs that the policy, the database and the anchors name.

    A log whose name the policy does not know is believed if a key of the policy signs for it: the
    database names no key, it only says which logs to look for.
    """
    publics = {log.key.public for log in policy.logs}
    in_policy = {log.key.name for log in policy.logs}
    origins = dict.fromkeys(in_policy)
    unknown: dict[str, Finding] = {}
    for log in stored:
        try:
            key = VerifierKey.parse(log.key)
        except SealFormatError as error:
            unknown[log.origin] = _unknown(log.origin, f"its key cannot be read: {error}")
            continue
        if log.origin in in_policy or (key.public in publics and key.name == log.origin):
            origins[log.origin] = None
        elif log.origin not in origins:
            unknown[log.origin] = _unknown(
                log.origin, f"its key is not in the policy: add `log {log.key}` if it is yours"
            )
    for anchor in anchored:
        origin = _origin_signed_by(anchor, publics)
        if origin is not None:
            origins[origin] = None
    known = [
        Subject(
            origin,
            tuple(
                VerifierKey(origin, NOTE, public)
                for public in _publics_of(policy, origin, publics)
            ),
            is_in_policy=origin in in_policy,
        )
        for origin in sorted(origins)
    ]
    numbers = {subject.log for subject in known}
    return Subjects(
        known,
        [finding for origin, finding in sorted(unknown.items()) if log_of(origin) not in numbers],
    )


def _publics_of(policy: Policy, origin: str, publics: set[bytes]) -> list[bytes]:
    """Return the public keys that may sign for *origin*: its own, or any if it is not named."""
    own = [log.key.public for log in policy.logs if log.key.name == origin]
    return own or sorted(publics)


def _origin_signed_by(anchor: Anchored, publics: set[bytes]) -> str | None:
    try:
        origin = Checkpoint.parse(anchor.note.text).origin
        keys = [VerifierKey(origin, NOTE, public) for public in publics]
    except SealFormatError:
        return None
    ids = {key.key_id for key in keys}
    named = any(line.name == origin and line.key_id in ids for line in anchor.note.signatures)
    return origin if named else None


def _unknown(origin: str, why: str) -> Finding:
    return Finding(kind=Kind.UNKNOWN_LOG, what=f"{origin}: {why}")
