from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.errors import SealFormatError
from audit_log.seal.tree import EMPTY_ROOT, Row, Tree, leaf_hash, leaf_hashes, node_hash
from tests.unit.seal.merkle import mth, some_leaves

# The eight leaves, and the roots after each, that Certificate Transparency's own tests use.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = leaf_hashes(some_leaves(256 * 256 + 256))


def grown(count: int) -> Tree:
    tree = Tree()
    tree.append(HASHES[:count])
    return tree


def test_the_roots_are_those_of_certificate_transparency():
    tree = Tree()

    assert tree.root() == EMPTY_ROOT
    for leaf, root in zip(CT_LEAVES, CT_ROOTS, strict=True):
        tree.append([leaf_hash(leaf)])
        assert tree.root().hex() == root


def test_the_root_is_that_of_the_rfc_at_every_size():
    tree, leaves = Tree(), some_leaves(300)

    for size, leaf in enumerate(leaves):
        assert (tree.size, tree.root()) == (size, mth(leaves[:size]))
        tree.append([leaf_hash(leaf)])


@given(st.lists(st.integers(0, 300), max_size=4))
def test_however_leaves_are_batched_the_tree_is_the_same(batches):
    leaves, tree = HASHES[: sum(batches)], Tree()
    rows: list[Row] = []
    ends = [sum(batches[:count]) for count in range(len(batches) + 1)]
    for start, end in pairwise(ends):
        # As after a restart.
        tree = Tree(tree.size, tree.edge)
        rows += tree.append(leaves[start:end])

    whole = Tree()
    expected = whole.append(leaves)

    assert (tree.size, tree.edge, tree.root()) == (whole.size, whole.edge, whole.root())
    for level in range(3):
        assert joined(rows, level) == joined(expected, level)


def joined(rows: list[Row], level: int) -> list[bytes]:
    """Return the hashes of a level, of which no row may repeat or leave out one."""
    hashes: list[bytes] = []
    for row in rows:
        if row.level == level:
            assert row.start == len(hashes)
            hashes += row.hashes
    return hashes


def test_an_append_returns_what_each_level_of_tiles_gained():
    tree = Tree()

    first = tree.append(HASHES[:300])
    second = tree.append(HASHES[300:])

    assert first == [Row(0, 0, HASHES[:300]), Row(1, 0, [grown(256).root()])]
    assert [(row.level, row.start, len(row.hashes)) for row in second] == [
        (0, 300, 256 * 256 + 256 - 300),
        (1, 1, 256),
        (2, 0, 1),
    ]
    assert second[2].hashes == [grown(256 * 256).root()]


def test_an_append_of_nothing_changes_nothing():
    tree = grown(5)
    before = tree.size, tree.edge

    assert tree.append([]) == []
    assert (tree.size, tree.edge) == before


def test_a_copy_grows_apart():
    tree = grown(5)
    root = tree.root()

    copy = tree.copy()
    copy.append([leaf_hash(b"more")])

    assert (tree.size, tree.root()) == (5, root)
    assert copy.root() == mth([*some_leaves(5), b"more"])


def test_the_edge_is_the_largest_subtree_first():
    leaves = some_leaves(7)

    assert grown(7).edge == [mth(leaves[:4]), mth(leaves[4:6]), mth(leaves[6:])]


@pytest.mark.parametrize("wrong", [b"", b"\0" * 31, b"\0" * 33])
def test_what_is_no_hash_is_refused_and_changes_nothing(wrong):
    tree = grown(5)
    before = tree.size, tree.edge

    with pytest.raises(SealFormatError, match="32 bytes"):
        tree.append([leaf_hash(b"good"), wrong])
    with pytest.raises(SealFormatError, match="32 bytes"):
        tree.append([b"\0" * 31, b"\0" * 33])

    assert (tree.size, tree.edge) == before


@pytest.mark.parametrize(
    ("size", "edge"),
    [
        (-1, []),
        (2**63, [b"\0" * 32]),
        (1, []),
        (0, [b"\0" * 32]),
        (3, [b"\0" * 32]),
        (4, [b"\0" * 31]),
        (3, [b"\0" * 33, b"\0" * 31]),
    ],
)
def test_a_state_that_no_tree_can_have_is_refused(size, edge):
    with pytest.raises(SealFormatError):
        Tree(size, edge)


def test_a_leaf_is_no_node():
    assert leaf_hash(b"a" * 64) != node_hash(b"a" * 32, b"a" * 32)
