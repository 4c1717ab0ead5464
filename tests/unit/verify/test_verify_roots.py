"""Which combination of options gives the signed roots."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.seal.tree import Tree, subtree_hash
from audit_log.verify.roots import Edge, Equation, Option, Solver, perfect, root_by_path


def leaf(number: int, word: str = "") -> bytes:
    return sha256(f"{number} {word}".encode()).digest()


def leaves(start: int, end: int, word: str = "") -> bytes:
    return b"".join(leaf(number, word) for number in range(start, end))


def root(size: int) -> Equation:
    tree = Tree()
    tree.append([leaf(number) for number in range(size)])
    return Equation(size, tree.root())


def tile(number: int, word: str = "") -> Option:
    hashes = leaves(256 * number, 256 * number + 256, word)
    return Option(perfect(hashes), hashes)


def solve(sizes, options):
    return Solver(Edge(), [root(size) for size in sizes]).solve(
        len(options), lambda number: options[number]
    )


def test_one_option_a_tile_is_proved_by_the_largest_root():
    found = solve([0, 100, 256, 700], [[tile(0)], [tile(1)], [Option(None, leaves(512, 700))]])

    assert (found.proved, found.reached, len(found.matched)) == (700, 700, 4)
    assert found.edge.size == 512


@given(st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_a_root_decides_among_options_however_they_are_ordered(first, second, is_late):
    tiles = [[tile(number)] for number in range(4)]
    for number in {first, second}:
        tiles[number] = [tile(number, "wrong"), tile(number), tile(number, "too")]

    found = solve([1024] if is_late else [300, 600, 1024], tiles)

    assert found.proved == 1024
    assert {number: option.root for number, option in found.chosen.items()} == {
        **{number: tile(number).root for number in {first, second}},
        **({} if is_late else {1: tile(1).root, 2: tile(2).root}),
    }


def test_a_bare_root_proves_a_tile_whose_leaves_are_gone():
    found = solve([300, 512], [[Option(tile(0).root, None)], [tile(1)]])

    assert (found.proved, len(found.matched)) == (512, 2)


def test_a_root_inside_a_tile_of_which_only_the_root_is_known_is_unknown():
    found = solve([100, 300, 512], [[Option(tile(0).root, None)], [tile(1)]])

    assert (found.proved, found.unknown) == (512, {root(100)})


def test_behind_a_tile_that_nothing_gives_nothing_is_proved():
    found = solve([200, 600], [[tile(0)], [tile(1, "wrong")], [Option(None, leaves(512, 600))]])

    assert (found.proved, found.reached) == (200, 600)


def test_leaves_that_are_not_known_are_no_mismatch():
    found = solve([200, 600], [[tile(0)], [], [Option(None, leaves(512, 600))]])

    assert (found.proved, found.reached) == (200, 256)


def test_a_signed_root_of_another_tree_is_left_unmatched():
    fork = Equation(300, leaf(0, "fork"))
    solver = Solver(Edge(), [root(200), fork, root(512)])

    found = solver.solve(2, lambda number: [tile(number)])

    assert found.proved == 512
    assert found.matched == {root(200), root(512)}


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 1_000])
def test_an_edge_is_that_of_the_tree(size):
    edge = Edge()
    for number in range(size // 256):
        edge = edge.plus(8, tile(number).root or b"")
    at = size % 256
    rest = leaves(size - at, size)

    whole = edge.extended(rest, 0, at)
    in_steps = edge.extended(rest, 0, at // 3).extended(rest, at // 3, at)

    assert whole.root() == in_steps.root() == root(size).root
    assert whole.parts == in_steps.parts
    assert whole.size == size


def test_the_path_of_the_last_leaf_leads_to_the_root_of_its_tile():
    hashes = [leaf(number) for number in range(256)]
    path = b"".join(
        subtree_hash(hashes[256 - 2 * (1 << level) : 256 - (1 << level)]) for level in range(8)
    )

    assert root_by_path(hashes[-1], path) == tile(0).root
