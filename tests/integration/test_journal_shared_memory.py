"""Several journals whose rings lie on one tmpfs: none touches the ring of another."""

import shutil

import pytest

from proxy.journal.ring_header import FOLDER_ID, FOLDER_PLACE
from tests.integration.test_journal_command import command
from tests.neighbours.in_loop import overhearing
from tests.neighbours.journal import a_record, everything, interrupted, shared_memory, until
from tests.neighbours.journal_files import JournalFiles
from tests.neighbours.sidecar import serving_sidecar


@pytest.fixture
def files(tmp_path):
    with shared_memory() as memory:
        (ring := memory / "ring").mkdir()
        yield JournalFiles(tmp_path / "journal", ring)


async def works(files):
    """Open the journal, and see that it takes records and gives them out."""
    async with files.opened() as (intake, journal):
        record = a_record(77)
        assert intake.end(intake.begin(interrupted(record)), record)
        assert journal.problem is None
        assert await everything(journal) == ([record], [])


async def test_a_live_ring_of_the_same_path_is_left_alone(files):
    async with files.opened() as (intake, journal):
        record = a_record()
        slot = intake.begin(interrupted(record))
        # As in another container, where the same path means another folder.
        files.folder.rename(files.folder.with_name("in-another-container"))
        await works(files)
        assert intake.end(slot, record)
        assert await everything(journal) == ([record], [])
        assert len(files.rings) == 1
    shutil.rmtree(files.folder)


@pytest.mark.parametrize("changed", [(FOLDER_PLACE,), (FOLDER_ID, FOLDER_PLACE)])
async def test_a_ring_that_a_kill_left_in_another_container_is_left_alone(files, changed):
    await files.killed_with(50, moved=False)
    [ring] = files.rings
    with ring.open("r+b") as file:
        for word in changed:
            file.seek(8 * word)
            file.write((4711).to_bytes(8, "little"))
    before = ring.read_bytes()
    shutil.rmtree(files.folder)
    await works(files)
    assert ring.read_bytes() == before


async def test_a_live_ring_of_an_older_version_is_left_alone(files):
    await files.killed_with(50, moved=False)
    files.as_before_0_2()
    [ring] = files.rings
    before = ring.read_bytes()
    shutil.rmtree(files.folder)
    with ring.open("r+b"), ring.with_suffix(".calls").open("r+b"):  # it takes no lock
        await works(files)
    assert ring.read_bytes() == before


async def test_a_copy_of_the_folder_has_a_ring_of_its_own(files):
    copy = JournalFiles(files.folder.with_name("copy"), files.ring)
    async with files.opened() as (intake, journal):
        record = a_record()
        slot = intake.begin(interrupted(record))
        await until((files.folder / "id").exists)
        shutil.copytree(files.folder, copy.folder)
        async with copy.opened() as (copy_intake, copied):
            other = a_record(1)
            assert copy_intake.end(copy_intake.begin(interrupted(other)), other)
            records, [gap] = await everything(copied)
        assert (records, gap.reason) == ([other], "head_lost")
        assert intake.end(slot, record)
        assert await everything(journal) == ([record], [])


@pytest.fixture
async def orphaned(files):
    """The ring of a killed sidecar whose journal folder is gone for good."""
    await files.killed_with(50, moved=False)
    shutil.rmtree(files.folder)
    [ring] = files.rings
    return ring


async def test_a_ring_whose_folder_is_gone_is_named_at_a_start(orphaned, upstream):
    async with serving_sidecar(upstream.url, journal_ring_dir=orphaned.parent) as sidecar:
        said = await sidecar.logged("journal.rings_orphaned")
    assert (said["rings"], said["paths"]) == (1, [str(orphaned)])
    assert said["bytes"] > orphaned.stat().st_size


async def test_rings_that_are_waited_for_are_not_named(files, upstream):
    await files.killed_with(50)
    async with (
        overhearing() as log,
        serving_sidecar(upstream.url, journal_ring_dir=files.ring),
    ):
        pass
    assert [line for line in log if line["event"] == "journal.rings_orphaned"] == []


async def test_the_command_lists_rings_and_removes_those_that_are_orphaned(files, orphaned):
    code, said = await command("rings", files.ring)
    assert code == 1
    assert f"orphaned  records only here: 50  journal: {files.folder}" in said
    assert "1 ring, 1 orphaned, which takes " in said

    code, said = await command("remove-ring", orphaned)
    assert (code, "holds 50 records that are nowhere else" in said) == (1, True)
    assert orphaned.exists()

    assert await command("remove-ring", "--discard", orphaned) == (0, f"{orphaned} is removed\n")
    assert list(files.ring.iterdir()) == []
    assert await command("rings", PROXY_JOURNAL_RING_DIR=str(files.ring)) == (
        0,
        "0 rings, 0 orphaned, which take 0 bytes\n",
    )


async def test_a_ring_that_is_needed_is_not_removed(files):
    await files.killed_with(50)
    [ring] = files.rings
    code, said = await command("remove-ring", "--discard", ring, files.ring / "none")
    assert code == 1
    assert f"{ring} belongs to the journal in {files.folder}" in said
    assert f"{files.ring / 'none'} is no ring of this user" in said
    async with files.opened():
        code, said = await command("remove-ring", "--discard", ring)
        assert (code, "is in use: stop its sidecar first" in said) == (1, True)
        assert "in use  records only here: -" in (await command("rings", files.ring))[1]
    assert not ring.exists()
