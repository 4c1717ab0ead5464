"""Logs that are followed by another one of the same sidecar."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from audit_log.verify.ages import moment
from audit_log.verify.proving.one_log import OneLog


class Follower(NamedTuple):
    """A log of the same sidecar that began after another one's newest leaf."""

    origin: str
    begun: datetime


def followers(logs: Sequence[OneLog]) -> dict[str, Follower]:
    """Return, by the origin of each log that has one, the first log that follows it.

    All are signed by keys that the verifier trusts, so a sidecar whose journal or key was
    replaced is not silent: it speaks in the log that follows.
    """
    found: dict[str, Follower] = {}
    begun = [(one, at) for one in logs if (at := moment(one.begun())) is not None]
    for one in logs:
        last = one.newest_leaf()
        later = [
            Follower(other.subject.origin, at)
            for other, at in begun
            if last is not None
            and other is not one
            and other.subject.instance == one.subject.instance
            and at >= last
        ]
        if later:
            found[one.subject.origin] = min(later, key=lambda follower: follower.begun)
    return found
