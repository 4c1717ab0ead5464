"""What is stored before a batch is committed, and what is proved of it to anchors."""

from random import Random

import pytest

from audit_log.errors import StatementRefusedError, StoreUnavailableError
from audit_log.seal.growing.state import State
from audit_log.seal.leaf import UNSEALED
from audit_log.seal.leaves import Leaves
from audit_log.seal.proofs import verify_consistency
from audit_log.seal.stored import SealNote, SealTile
from audit_log.seal.tree import leaf_hash
from proxy.seal.copies import SPACE_BYTES, DiskCopies, MemoryCopies
from proxy.seal.kept import KeptLog
from proxy.seal.proving import Prover
from proxy.seal.seal import Seal

FIRST = 1


class Store:
    """Keeps what it is given, or fails."""

    def __init__(self):
        self.parts = []
        self.error = None

    async def append_sealed(self, parts):
        if self.error is not None:
            raise self.error
        self.parts += parts

    async def tile(self, log, level, number):
        wanted = (log, level, number)
        found = [
            part.hashes
            for part in self.parts
            if isinstance(part, SealTile) and (part.log, part.level, part.number) == wanted
        ]
        return found[0] if found else None

    def notes(self):
        return {part.seq: part for part in self.parts if isinstance(part, SealNote)}


@pytest.fixture
def store():
    return Store()


def a_seal(store, folder):
    state = State.begun("here", b"k" * 32, FIRST)
    memory = MemoryCopies(memoryview(bytearray(SPACE_BYTES)))
    kept = KeptLog(state, memory, DiskCopies(folder / "state"), None, folder / "key")
    kept.save(FIRST)
    return Seal(kept, store)


@pytest.fixture
def seal(store, tmp_path):
    return a_seal(store, tmp_path)


def leaves_of(numbers):
    hashes = [leaf_hash(b"%d" % number) for number in numbers]
    return Leaves(numbers.start, hashes, [1_764_320_000 + number for number in numbers])


async def take(seal, numbers, quarantined=()):
    await seal.take(leaves_of(numbers), numbers.stop, quarantined)


async def test_each_size_is_proved_to_continue_each_one_before_it(seal, store):
    chance, known = Random(7), []
    while seal.kept.state.next_line < 20_000:
        first = seal.kept.state.next_line
        await take(seal, range(first, first + chance.choice([1, 30, 255, 600, 9_000])))
        state = seal.kept.state
        known.append((state.size, seal.grown.tree.root()))
        for old_size, old_root in chance.sample(known, min(len(known), 5)):
            proof = await Prover(seal, store).prove(state, old_size)
            verify_consistency(old_size, old_root, *known[-1], proof)


async def test_no_proof_without_the_tiles(seal, store):
    await take(seal, range(1, 600))
    store.parts.clear()
    seal.recent.clear()
    with pytest.raises(StoreUnavailableError, match="tile/"):
        await Prover(seal, store).prove(seal.kept.state, 3)


async def test_a_batch_that_comes_again_or_overlaps_changes_nothing(seal, tmp_path):
    await take(seal, range(1, 300))
    before = seal.kept.state
    for again in (range(1, 300), range(200, 300), range(5, 20)):
        await take(seal, again)
        assert seal.kept.state == before
    await take(seal, range(250, 400))
    root = seal.grown.tree.root()
    assert seal.kept.state.next_line == 400

    whole = a_seal(Store(), tmp_path)
    await take(whole, range(1, 400))
    assert whole.grown.tree.root() == root


async def test_a_store_that_is_away_leaves_the_log_as_it_was(seal, store):
    await take(seal, range(1, 300))
    before, root = seal.kept.state, seal.grown.tree.root()
    store.error = StoreUnavailableError("away")
    with pytest.raises(StoreUnavailableError):
        await take(seal, range(300, 900))
    assert (seal.kept.state, seal.grown.tree.root()) == (before, root)
    # Without a full tile there is nothing to store.
    await take(seal, range(300, 310))
    assert seal.kept.state.next_line == 310


async def test_a_store_that_may_not_be_written_holds_up_no_record(seal, store):
    store.error = StatementRefusedError("permission denied for table mcp_audit_seal_tile")
    await take(seal, range(1, 300))
    assert seal.kept.state.next_line == 1
    assert "permission denied" in seal.problem
    store.error = None
    await take(seal, range(300, 310))
    assert seal.problem is None
    assert seal.kept.state.next_line == 310
    assert store.notes()[0] == SealNote(seal.kept.state.sealing.log, 0, 299, UNSEALED.decode())


async def test_lines_without_leaves_and_holes_are_unsealed(seal, store):
    await take(seal, range(1, 10))
    await seal.take(Leaves(), 15, ())
    await take(seal, range(20, 300))
    notes = store.notes()
    assert [(notes[place].count, notes[place].data) for place in (9,)] == [(5, '["unsealed"]')]
    assert notes[14].count == 5
    assert seal.kept.state.next_line == 300


async def test_a_line_that_was_stored_without_a_place_is_unsealed(seal, store):
    seal.kept.limit = 290
    assert not seal.kept.may_place(280, 295)
    await take(seal, range(1, 300))
    note = store.notes()[280]
    assert (note.count, note.data) == (15, '["unsealed"]')


async def test_a_quarantined_record_leaves_its_hash(seal, store):
    await take(seal, range(1, 5), quarantined={2, 77})
    await take(seal, range(5, 300))
    data = store.notes()[2].data
    assert data == f'["quarantined","{leaf_hash(b"3").hex()}"]'


async def test_a_store_that_is_new_gets_the_newest_tiles_and_notes_again(seal, store):
    await take(seal, range(1, 900))
    before = list(store.parts)
    store.parts.clear()
    await seal.store_again()
    assert store.parts == before
    assert seal.stores == 2


async def test_tiles_are_made_again_of_lines_that_are_read_again(seal, store):
    await take(seal, range(1, 2_000))
    before = {(part.level, part.number): part for part in store.parts if is_tile(part)}
    notes = store.notes()
    store.parts.clear()
    seal.recent.clear()  # as after a kill
    await seal.store_again()
    for cut in (range(100, 101), range(101, 400), range(101, 400), range(400, 2_000)):
        await take(seal, cut)
    again = {(part.level, part.number): part for part in store.parts if is_tile(part)}
    assert again == {(0, number): before[0, number] for number in range(1, 7)}
    assert store.notes() == {place: note for place, note in notes.items() if place > 255}
    # Of another line than the one that was sealed there is no tile.
    store.parts.clear()
    await seal.store_again()
    wrong = leaves_of(range(1, 300))
    wrong.hashes[7] = leaf_hash(b"quarantined")
    store.parts.clear()
    await seal.take(wrong, 300, ())
    assert store.parts == []


def is_tile(part):
    return isinstance(part, SealTile)


async def test_the_open_tile_is_stored_at_the_end(seal, store):
    await take(seal, range(1, 300))
    await seal.close()
    tile = store.parts[-1]
    assert (tile.level, tile.number, len(tile.hashes)) == (0, 1, 44 * 32)
