"""The state of a log: kept twice, and enough to go on with."""

import os
from random import Random

import pytest
from msgspec.structs import replace

from audit_log.seal.growing.growth import Grown, Lines
from audit_log.seal.growing.state import RESERVED_LINES, State
from audit_log.seal.places import is_times
from audit_log.seal.times import times_in
from audit_log.seal.tree import Tree, leaf_hash
from proxy.seal.copies import HALF_BYTES, SPACE_BYTES, DiskCopies, MemoryCopies, newest
from proxy.seal.kept import Found, KeptLog, found

BEGUN = 17


def begun():
    return State.begun("a sidecar/1", b"k" * 32, BEGUN)


def lines_of(numbers):
    """The leaves of lines with these numbers, as they are whoever reads them and however."""
    lines = Lines(numbers.start)
    lines.hashes = [leaf_hash(b"%d" % number) for number in numbers]
    lines.seconds = [1_764_370_000 + number // 50 for number in numbers]
    return lines


def grown_to(end):
    state = begun()
    return Grown(state, state.tree()).by(lines_of(range(BEGUN, end)))


def test_a_write_that_is_cut_at_any_byte_leaves_the_copy_before_it(tmp_path):
    copies = DiskCopies(tmp_path / "state")
    for value in (b"first" * 9, b"second" * 9):
        copies.write(value)
    before = (tmp_path / "state").read_bytes()
    copies.write(b"third" * 9)
    after = (tmp_path / "state").read_bytes()

    changed = [at for at in range(SPACE_BYTES) if before[at] != after[at]]
    for at in range(changed[0], changed[-1] + 1):
        _, value = newest(after[:at] + before[at:])
        assert value == b"second" * 9
    assert newest(after)[1] == b"third" * 9
    assert DiskCopies(tmp_path / "state").read() == b"third" * 9


def test_memory_and_disk_hold_the_same_copies(tmp_path):
    space = memoryview(bytearray(SPACE_BYTES))
    copies, disk = MemoryCopies(space), DiskCopies(tmp_path / "state")
    assert (copies.value, disk.read()) == (b"", b"")
    for number in range(5):
        copies.write(b"%d" % number)
        disk.write(b"%d" % number)
    assert MemoryCopies(space).value == copies.again().value == b"4"
    assert (tmp_path / "state").read_bytes() == bytes(space)


def test_a_value_that_finds_no_room_is_refused():
    copies = MemoryCopies(memoryview(bytearray(SPACE_BYTES)))
    with pytest.raises(ValueError, match="do not fit"):
        copies.write(bytes(HALF_BYTES))


def test_the_disk_takes_the_same_half_again_after_a_failure(tmp_path):
    (tmp_path / "there").mkdir()
    disk = DiskCopies(tmp_path / "there" / "state")
    disk.write(b"first")
    (tmp_path / "there").rename(tmp_path / "away")
    with pytest.raises(OSError, match="No such file"):
        disk.write(b"second")
    (tmp_path / "away").rename(tmp_path / "there")
    disk.write(b"second")
    assert disk.read() == b"second"


def test_batches_that_are_cut_anywhere_grow_the_same_log():
    chance, end = Random(15), BEGUN + 70_000
    whole = grown_to(end)
    tiles = {(tile.level, tile.number): tile.hashes for tile in whole.tiles}
    notes = {note.seq: note.data for note in whole.notes}

    state = begun()
    pieces = Grown(state, state.tree())
    while (at := pieces.state.next_line) < end:
        until = min(at + chance.choice([1, 3, 254, 255, 256, 1_000, 10_000]), end)
        pieces = pieces.by(lines_of(range(at, until)))
        for tile in pieces.tiles:
            assert tiles.pop((tile.level, tile.number)) == tile.hashes
        for note in pieces.notes:
            assert notes.pop(note.seq) == note.data
        if chance.random() < 0.2:  # as a start reads it
            state = State.read(pieces.state.written())
            assert state == pieces.state
            assert state.tree().edge == pieces.tree.edge
            pieces = Grown(state, state.tree())

    assert (tiles, notes) == ({}, {})
    assert pieces.tree.root() == whole.tree.root()
    assert pieces.state == replace(whole.state, origin=pieces.state.origin)


def test_tiles_times_and_places_are_those_of_the_leaves():
    grown = grown_to(BEGUN + 255 * 3 + 7)
    leaves = []
    times = {note.seq: note.data.encode() for note in grown.notes}
    for place in range(grown.state.size):
        line = grown.state.sealing.line(place)
        leaves.append(leaf_hash(times[place] if line is None else b"%d" % line))
    tree = Tree()
    tree.append(leaves)
    assert tree.root() == grown.tree.root()
    assert b"".join(tile.hashes for tile in grown.tiles) == b"".join(leaves[:768])
    assert grown.open_tile().hashes == b"".join(leaves[768:])
    assert all(map(is_times, times))
    assert times_in(times[511])[0] == 1_764_370_000 + (BEGUN + 255) // 50


@pytest.mark.parametrize("changed", [b"", b"\xc1", b"\x80"])
def test_bytes_that_are_no_state_are_none(changed):
    assert State.read(changed) is None


def test_a_state_with_numbers_that_contradict_each_other_is_none():
    state = grown_to(BEGUN + 300).state
    assert State.read(state.written()) == state
    for wrong in ({"next_line": state.next_line + 1}, {"tiles": state.tiles[:1]}):
        assert State.read(replace(state, **wrong).written()) is None


@pytest.fixture
def kept(tmp_path):
    memory = MemoryCopies(memoryview(bytearray(SPACE_BYTES)))
    return KeptLog(grown_to(300).state, memory, DiskCopies(tmp_path / "state"), None, tmp_path)


def test_lines_have_places_only_below_what_is_reserved_on_disk(kept):
    assert not kept.may_place(300, 301)
    assert kept.state.placeless == (300, 301)
    kept.save(301)
    assert kept.limit == 301 + RESERVED_LINES
    # Read again, it must not have a place now either.
    assert not kept.may_place(300, 301)
    assert kept.may_place(301, kept.limit)
    assert not kept.may_place(301, kept.limit + 1)


def test_the_disk_has_the_state_and_reserves_again_before_the_numbers_end(kept):
    kept.save(300)
    assert not kept.is_due(300)
    assert kept.is_due(300 + RESERVED_LINES // 2 + 1)
    before = kept.limit
    kept.save(300)
    assert kept.limit == before
    kept.save(300 + RESERVED_LINES)
    assert kept.limit == 300 + 2 * RESERVED_LINES


def test_the_newest_of_the_copies_is_gone_on_with(kept, tmp_path):
    kept.save(300)
    later = grown_to(900).state
    later = replace(later, origin=kept.state.origin)
    other = grown_to(5_000).state
    disk = DiskCopies(tmp_path / "state")
    known = found(disk, []).state
    assert known is not None
    assert known.next_line == 300
    assert found(disk, []).free_number == 300 + RESERVED_LINES
    memories = [kept.state.written(), later.written(), other.written(), os.urandom(99)]
    assert found(disk, memories) == Found(later, is_whole=True)
    assert found(DiskCopies(tmp_path / "none"), []) == Found(None, is_whole=False)


def test_lines_of_a_run_that_did_not_seal_get_no_places_later(kept):
    state = kept.state
    whole, cut = Found(state, is_whole=True), Found(state, is_whole=False)
    assert whole.lasting(state, 900, is_sealed=True) == state
    for what in (whole, cut):
        assert what.lasting(state, 900, is_sealed=False).placeless == (300, 900)
    # After a power cut: what was reserved had places, what lies behind it had none.
    reserved = replace(state, reserved=700)
    lost = Found(reserved, is_whole=False)
    assert lost.lasting(reserved, 700, is_sealed=True) == reserved
    assert lost.lasting(reserved, 900, is_sealed=True).placeless == (700, 900)
