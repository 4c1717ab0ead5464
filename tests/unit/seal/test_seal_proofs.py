from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.errors import ProofError
from audit_log.seal.proofs import (
    NodeHash,
    consistency_proof,
    inclusion_proof,
    root_hash,
    verify_consistency,
    verify_inclusion,
)
from audit_log.seal.tree import EMPTY_ROOT, Tree, leaf_hashes, node_hash
from tests.unit.seal.merkle import node_of, path, proof, some_leaves

LARGEST = 300
LEAVES = some_leaves(LARGEST)
HASHES = leaf_hashes(LEAVES)
NODE: NodeHash = node_of(LEAVES)
ROOTS = [root_hash(size, NODE) for size in range(LARGEST + 1)]
Proof = tuple[int, int, bytes, bytes, list[bytes]]


def test_the_root_of_every_size_is_that_of_the_tree():
    tree, roots = Tree(), [EMPTY_ROOT]
    for hash_ in HASHES:
        tree.append([hash_])
        roots.append(tree.root())

    assert roots == ROOTS


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 13, 37])
def test_proofs_are_those_of_the_rfc(size):
    leaves = LEAVES[:size]

    for place in range(size):
        assert inclusion_proof(place, size, NODE) == path(place, leaves)
        assert consistency_proof(place + 1, size, NODE) == proof(place + 1, leaves)


def test_every_leaf_of_every_size_is_proved():
    for size in range(1, LARGEST + 1):
        # Not all beyond 16: that takes seconds.
        for index in {*range(0, size, max(1, size // 16)), size - 1}:
            made = inclusion_proof(index, size, NODE)
            verify_inclusion(HASHES[index], index, size, ROOTS[size], made)


def test_every_size_begins_with_the_smaller_ones():
    for size in range(LARGEST + 1):
        # Not all beyond 64: that takes 7 s.
        for old in range(0, size + 1, 1 if size <= 64 else 23):
            made = consistency_proof(old, size, NODE)
            verify_consistency(old, ROOTS[old], size, ROOTS[size], made)


def test_large_sizes_are_proved_from_few_nodes():
    """Of equal leaves: then all subtrees of a level have one hash."""
    size, old, index = 2**40 + 12345, 2**33 + 77, 2**39 + 1
    levels = list(
        accumulate(range(40), lambda hash_, _: node_hash(hash_, hash_), initial=HASHES[0])
    )

    def node(level: int, index: int) -> bytes:
        assert (index + 1) << level <= size
        asked.append((level, index))
        return levels[level]

    asked: list[tuple[int, int]] = []
    consistency = consistency_proof(old, size, node)
    inclusion = inclusion_proof(index, size, node)

    assert len(asked) < 100
    root = root_hash(size, node)
    verify_consistency(old, root_hash(old, node), size, root, consistency)
    verify_inclusion(HASHES[0], index, size, root, inclusion)


@st.composite
def inclusions(draw: st.DrawFn) -> Proof:
    size = draw(st.integers(1, LARGEST))
    index = draw(st.integers(0, size - 1))
    return index, size, HASHES[index], ROOTS[size], inclusion_proof(index, size, NODE)


@st.composite
def consistencies(draw: st.DrawFn) -> Proof:
    size = draw(st.integers(2, LARGEST))
    old = draw(st.integers(1, size - 1))
    return old, size, ROOTS[old], ROOTS[size], consistency_proof(old, size, NODE)


def altered(values: Proof, data: st.DataObject) -> Proof:
    """Return *values* with one bit of one hash changed, or a hash more, less or elsewhere."""
    number, size, first, root, hashes = values
    everything = [first, root, *hashes]
    change = data.draw(st.sampled_from(["bit", "bit", "more", "less", "swap", "cut"]))
    place = data.draw(st.integers(0, len(everything) - 1))
    if change == "bit":
        bit = data.draw(st.integers(0, 255))
        flipped = int.from_bytes(everything[place]) ^ 1 << bit
        everything[place] = flipped.to_bytes(32)
    elif change == "more":
        everything.insert(max(2, place), everything[place])
    elif change == "less" and hashes:
        del everything[max(2, place)]
    elif change == "cut":
        everything[place] = everything[place][:-1]
    else:
        everything[0], everything[1] = everything[1], everything[0]
    return number, size, everything[0], everything[1], everything[2:]


@given(inclusions(), st.data())
def test_an_altered_inclusion_is_refused(values, data):
    index, size, leaf, root, hashes = wrong = altered(values, data)

    if wrong != values:
        with pytest.raises(ProofError):
            verify_inclusion(leaf, index, size, root, hashes)


@given(consistencies(), st.data())
def test_an_altered_consistency_is_refused(values, data):
    old, size, old_root, root, hashes = wrong = altered(values, data)

    if wrong != values:
        with pytest.raises(ProofError):
            verify_consistency(old, old_root, size, root, hashes)


@given(inclusions(), st.integers(-1, LARGEST), st.integers(-1, LARGEST + 1))
def test_a_proof_is_of_one_place_alone(values, index, size):
    """Of another size it can hold by chance of the shape; of another place it never does."""
    own_index, own_size, leaf, root, hashes = values

    if index != own_index:
        with pytest.raises(ProofError):
            verify_inclusion(leaf, index, own_size, root, hashes)
    if not own_index < size <= own_size:
        return
    if ROOTS[size] != root:
        with pytest.raises(ProofError):
            verify_inclusion(leaf, own_index, size, ROOTS[size], hashes)


def test_equal_sizes_with_different_roots_are_a_fork():
    with pytest.raises(ProofError, match="fork"):
        verify_consistency(5, ROOTS[5], 5, ROOTS[6], [])


def test_a_shrunk_log_is_refused():
    with pytest.raises(ProofError, match="never shrinks"):
        verify_consistency(6, ROOTS[6], 5, ROOTS[5], [])
    with pytest.raises(ProofError, match="never"):
        consistency_proof(6, 5, NODE)


def test_the_empty_log_begins_every_log_and_has_one_root():
    verify_consistency(0, EMPTY_ROOT, 5, ROOTS[5], [])
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])

    with pytest.raises(ProofError):
        verify_consistency(0, ROOTS[1], 5, ROOTS[5], [])
    with pytest.raises(ProofError):
        verify_consistency(0, ROOTS[1], 0, ROOTS[1], [])
    with pytest.raises(ProofError):
        verify_consistency(0, EMPTY_ROOT, 5, ROOTS[5], [ROOTS[1]])


@pytest.mark.parametrize("old", [3, 4])
def test_a_proof_that_is_missing_is_refused(old):
    with pytest.raises(ProofError):
        verify_consistency(old, ROOTS[old], 5, ROOTS[5], [])


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0)])
def test_a_leaf_that_a_log_has_not_is_told(index, size):
    with pytest.raises(ProofError, match="begin at 0"):
        inclusion_proof(index, size, NODE)
    with pytest.raises(ProofError, match="begin at 0"):
        verify_inclusion(HASHES[0], index, size, ROOTS[size], [])
