from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.errors import SealFormatError
from audit_log.seal.proofs import inclusion_proof, root_hash, verify_inclusion
from audit_log.seal.tiles import (
    Tile,
    bundle_path,
    decode_bundle,
    encode_bundle,
    full_tiles,
    hashes_of,
    node_from_tiles,
    partial_tiles,
)
from audit_log.seal.tree import Tree, leaf_hashes
from tests.neighbours.growing_tiles import GrowingTiles
from tests.unit.seal.merkle import some_leaves


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(1, 999, 255), "tile/1/999.p/255"),
        (Tile(2, 1000), "tile/2/x001/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(63, 1234067, 1), "tile/63/x001/x234/067.p/1"),
    ],
)
def test_a_tile_has_one_path(tile, path):
    assert str(tile) == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x1/001",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/entries/001",
        "tile/0/001.p/0",
        "tile/0/001.p/01",
        "tile/0/001.p/256",
        "tile/0/001/",
        "/tile/0/001",
        "tile/0/001\n",
        "tile/0/00\N{ARABIC-INDIC DIGIT FIVE}",
    ],
)
def test_what_is_no_path_of_a_tile_is_refused(path):
    with pytest.raises(SealFormatError):
        Tile.parse(path)


def test_entry_bundles_have_paths_like_tiles():
    assert bundle_path(1234067) == "tile/entries/x001/x234/067"
    assert bundle_path(0, 5) == "tile/entries/000.p/5"


def test_the_tree_of_the_specification_has_its_tiles():
    """The example: 70,000 leaves."""
    full = list(full_tiles(0, 70_000))

    assert full == [*(Tile(0, index) for index in range(273)), Tile(1, 0)]
    assert list(partial_tiles(70_000)) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert list(full_tiles(0, 256)) == [Tile(0, 0)]
    assert list(partial_tiles(256)) == [Tile(1, 0, 1)]
    assert list(full_tiles(0, 0)) == list(partial_tiles(0)) == []


@given(st.lists(st.integers(0, 2**17), min_size=2, max_size=4).map(sorted))
def test_each_tile_becomes_full_once(sizes):
    once = list(full_tiles(sizes[0], sizes[-1]))
    steps = [tile for old, new in pairwise(sizes) for tile in full_tiles(old, new)]

    assert sorted(once) == sorted(steps)
    assert len(set(steps)) == len(steps)


SIZE = 256 * 256 + 256 * 3 + 77
HASHES = leaf_hashes(some_leaves(SIZE))


@cache
def tiles() -> dict[Tile, bytes]:
    """Return the tiles of a log whose tree has tiles of three levels, grown in batches."""
    tree, growing, full = Tree(), GrowingTiles(Tree(), {}), dict[Tile, bytes]()
    for start in range(0, SIZE, 1000):
        full |= growing.add(tree.append(HASHES[start : start + 1000]))
    return full | growing.partial()


def test_appends_fill_all_tiles_of_the_tree():
    assert sorted(tiles()) == sorted([*full_tiles(0, SIZE), *partial_tiles(SIZE)])
    assert tiles()[Tile(0, 3)] == b"".join(HASHES[768:1024])
    assert tiles()[Tile(0, SIZE // 256, 77)] == b"".join(HASHES[-77:])


@pytest.mark.parametrize("size", [0, 255, 256, 300, 65_536])
def test_tiles_go_on_from_what_was_kept_of_them(size):
    tree = Tree()
    growing = GrowingTiles(tree, {})
    full = growing.add(tree.append(HASHES[:size]))

    again = GrowingTiles(Tree(tree.size, tree.edge), growing.partial())
    full |= again.add(tree.append(HASHES[size:]))

    assert full | again.partial() == tiles()


@pytest.mark.parametrize("bit", [0, 255, 300 * 8])
def test_kept_tiles_that_were_altered_do_not_go_on(bit):
    tree = Tree()
    growing = GrowingTiles(tree, {})
    growing.add(tree.append(HASHES[:300]))
    kept = growing.partial()
    data = kept[Tile(0, 1, 44)]
    kept[Tile(0, 1, 44)] = (int.from_bytes(data) ^ 1 << bit).to_bytes(len(data))

    with pytest.raises(SealFormatError, match="not those of the tree"):
        GrowingTiles(tree, kept)
    with pytest.raises(
        SealFormatError, match=r"tile/0/001\.p/44 of a tree of 300 leaves is missing"
    ):
        GrowingTiles(tree, {})


def test_rows_left_out_or_taken_twice_are_told():
    tree = Tree()
    growing = GrowingTiles(tree, {})
    rows = tree.append(HASHES[:256])
    growing.add(rows)

    with pytest.raises(SealFormatError, match="goes on at 256, not at 0"):
        growing.add(rows)
    tree.append(HASHES[256:512])
    with pytest.raises(SealFormatError, match="goes on at 256, not at 512"):
        growing.add(tree.append(HASHES[512:513]))


def test_the_root_and_every_proof_come_from_tiles():
    tree = Tree()
    tree.append(HASHES)
    node = node_from_tiles(SIZE, tiles().__getitem__)

    assert root_hash(SIZE, node) == tree.root()
    for index in (0, 255, 256, 65_535, 65_536, SIZE - 1):
        proof = inclusion_proof(index, SIZE, node)
        verify_inclusion(HASHES[index], index, SIZE, tree.root(), proof)


def test_older_roots_come_from_the_tiles_of_a_later_tree():
    node = node_from_tiles(SIZE, tiles().__getitem__)

    for size in (1, 255, 256, 257, 5_000):
        tree = Tree()
        tree.append(HASHES[:size])
        assert root_hash(size, node) == tree.root()


def test_a_tile_that_is_cut_is_told():
    node = node_from_tiles(5, lambda _: b"\0" * 159)

    with pytest.raises(SealFormatError, match=r"tile/0/000\.p/5 has 160 bytes; here are 159"):
        node(0, 0)


def test_a_tile_is_its_hashes():
    hashes = leaf_hashes(some_leaves(7))

    assert hashes_of(b"".join(hashes)) == hashes


@given(st.lists(st.binary(max_size=600), max_size=5))
def test_a_bundle_is_read_as_it_was_written(entries):
    assert decode_bundle(encode_bundle(entries)) == entries


def test_a_bundle_is_lengths_and_entries():
    assert encode_bundle([b"", b"abc", b"x" * 256]) == b"\0\0\0\3abc\1\0" + b"x" * 256
    assert len(encode_bundle([b"x" * 65_535])) == 65_537


def test_an_entry_that_no_bundle_can_hold_is_refused():
    with pytest.raises(SealFormatError, match="65535"):
        encode_bundle([b"x" * 65_536])


@pytest.mark.parametrize("data", [b"\0", b"\0\1", b"\0\3ab", b"\0\1a\0"])
def test_a_bundle_that_is_cut_is_told(data):
    with pytest.raises(SealFormatError, match="ends within an entry"):
        decode_bundle(data)
