"""Proofs of RFC 6962 that a leaf is in a tree, and that a tree begins with an older one."""

from collections.abc import Callable, Iterable, Sequence

from audit_log.errors import ProofError
from audit_log.seal.encoding import HASH_BYTES
from audit_log.seal.tree import EMPTY_ROOT, node_hash

NodeHash = Callable[[int, int], bytes]
"""Returns the hash of a complete subtree: the index-th (second) of 2^level (first) leaves."""


def inclusion_proof(index: int, size: int, node: NodeHash) -> list[bytes]:
    """Return PATH of RFC 6962, section 2.1.1: what leads from leaf *index* to the root.

    The leaf's neighbour comes first. Raise ProofError when a tree of *size* has no such leaf.
    """
    if not 0 <= index < size:
        raise ProofError(f"a log of {size} leaves has no leaf {index}: indexes begin at 0")
    path, _ = _path(index, size, lambda start, end: end - start == 1, node)
    return path


def consistency_proof(old_size: int, size: int, node: NodeHash) -> list[bytes]:
    """Return PROOF of RFC 6962, section 2.1.2: what leads from an older root to this one.

    It is empty when the old tree is, and when both are one. Raise ProofError when *old_size* is
    larger than *size*.
    """
    if not 0 <= old_size <= size:
        raise ProofError(f"a log of {size} leaves was never one of {old_size}")
    if old_size == 0:
        return []
    path, start = _path(old_size - 1, size, lambda _, end: end == old_size, node)
    # A path that starts at 0 starts with the old tree itself, whose root the verifier has.
    return [_range_hash(start, old_size, node), *path] if start else path


def root_hash(size: int, node: NodeHash) -> bytes:
    """Return the root hash of the tree of the first *size* leaves."""
    return _range_hash(0, size, node) if size else EMPTY_ROOT


def verify_inclusion(
    leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise ProofError unless *proof* proves that the leaf at *index* has the hash *leaf*.

    *size* and *root* are of a verified checkpoint. The algorithm of RFC 9162, section 2.1.3.2.
    """
    what = f"that leaf {index} is in a log of {size}"
    if not 0 <= index < size:
        raise ProofError(f"there is no proof {what}: indexes begin at 0")
    _check_hashes([leaf, root, *proof])
    sides = _sides(index, size - 1, len(proof), what)
    found = _top(leaf, zip(proof, sides, strict=True))
    if found != root:
        raise ProofError(f"the proof {what} leads to another root: the leaf or the proof is wrong")


def verify_consistency(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise ProofError unless *proof* proves that the tree begins with the one of *old_size*.

    Sizes and roots are of verified checkpoints. The algorithm of RFC 9162, section 2.1.4.2, and
    for the empty tree and for equal sizes what c2sp.org/tlog-witness says: the proof is empty.
    """
    what = f"that a log of {size} begins with one of {old_size}"
    if not 0 <= old_size <= size:
        raise ProofError(f"there is no proof {what}: a log never shrinks")
    _check_hashes([old_root, root, *proof])
    if old_size in {0, size}:
        if proof:
            raise ProofError(f"the proof {what} is empty; this one has {len(proof)} hashes")
        if old_root != (root if old_size else EMPTY_ROOT):
            raise ProofError(f"a log of {old_size} has two roots: it was forked, or one is wrong")
        return
    # A complete subtree is a node of the new tree too: the proof leaves it out.
    first, *path = [old_root, *proof] if old_size.bit_count() == 1 else proof or [b""]
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    beside = list(zip(path, _sides(place, last, len(path), what), strict=True))
    # What stands on the right was added since.
    old_found = _top(first, (one for one in beside if one[1]))
    found = _top(first, beside)
    if (old_found, found) != (old_root, root):
        raise ProofError(
            f"the proof {what} leads to other roots: the log or the proof was altered"
        )


def _path(
    leaf: int, size: int, is_end: Callable[[int, int], bool], node: NodeHash
) -> tuple[list[bytes], int]:
    """Walk from the root towards *leaf* until *is_end* of a subtree's range.

    Return the hashes of the subtrees passed by, the last first, and where the range starts.
    """
    start, end = 0, size
    passed = []
    while not is_end(start, end):
        # The RFC's k, the largest power of two smaller than the number of leaves.
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        if leaf < middle:
            passed.append(_range_hash(middle, end, node))
            end = middle
        else:
            passed.append(_range_hash(start, middle, node))
            start = middle
    passed.reverse()
    return passed, start


def _range_hash(start: int, end: int, node: NodeHash) -> bytes:
    """Return the RFC's MTH of a range of leaves that the walk above comes by."""
    complete = []
    while start < end:
        level = (end - start).bit_length() - 1
        complete.append(node(level, start >> level))
        start += 1 << level
    hash_ = complete.pop()
    while complete:
        hash_ = node_hash(complete.pop(), hash_)
    return hash_


def _sides(place: int, last: int, count: int, what: str) -> list[bool]:
    """Return of each of *count* hashes on the way up from *place* whether it stands on the left.

    *last* is the last place of the same level. Raise ProofError when the way has another length.
    """
    sides = []
    for _ in range(count):
        if last == 0:
            raise ProofError(f"the proof {what} has too many hashes: {count}")
        is_left = place & 1 == 1 or place == last
        sides.append(is_left)
        # A node without a right neighbour moves up as it is.
        while is_left and place and not place & 1:
            place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError(f"the proof {what} has too few hashes: {count}")
    return sides


def _top(hash_: bytes, beside: Iterable[tuple[bytes, bool]]) -> bytes:
    """Return what *hash_* becomes with each hash beside it, on the left (True) or the right."""
    for other, is_left in beside:
        hash_ = node_hash(other, hash_) if is_left else node_hash(hash_, other)
    return hash_


def _check_hashes(hashes: Sequence[bytes]) -> None:
    """Raise ProofError for a hash of another length: it could take bytes from its neighbour."""
    if not set(map(len, hashes)) <= {HASH_BYTES}:
        raise ProofError(f"each hash of a proof has {HASH_BYTES} bytes; one of these has not")
