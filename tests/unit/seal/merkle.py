"""The tree hash of RFC 6962, section 2.1, written as it stands there: slow, and easy to check."""

from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256


def mth(leaves: Sequence[bytes]) -> bytes:
    """Return MTH(D[n])."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return PATH(m, D[n]) of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return PROOF(m, D[n]) of section 2.1.2."""
    return _subproof(m, leaves, whole=True)


def _subproof(m: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*_subproof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*_subproof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


def split(size: int) -> int:
    """Return the largest power of two smaller than *size*."""
    return 1 << ((size - 1).bit_length() - 1)


def some_leaves(count: int) -> list[bytes]:
    return [b"leaf %d" % index for index in range(count)]


def node_of(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """Return what gives the hash of a complete subtree of *leaves*, by level and index."""

    @cache
    def node(level: int, index: int) -> bytes:
        assert (index + 1) << level <= len(leaves)
        if level == 0:
            return mth(leaves[index : index + 1])
        left, right = node(level - 1, 2 * index), node(level - 1, 2 * index + 1)
        return sha256(b"\x01" + left + right).digest()

    return node
