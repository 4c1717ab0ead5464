"""Keys that a log has given up: once the key that follows has signed alone, it signs on."""

from collections.abc import Iterator, Sequence

from audit_log.seal.keys import VerifierKey
from audit_log.verify.evidence.signed import Signed


def signed_by_given_up(
    signed: Sequence[Signed], following: Sequence[VerifierKey]
) -> Iterator[Signed]:
    """Yield those of *signed*, the smallest first, that only keys signed that were given up.

    *following* are the keys that the log has changed to, each signed by the one before.
    """
    ranks = {key.public: rank for rank, key in enumerate(following, 1)}
    least = 0
    for one in signed:
        own = [ranks.get(public, 0) for public in one.signers]
        if max(own) < least:
            yield one
        least = max(least, min(own))
