"""A killed process: what began and what ended is told by another process, and is all there."""

import shutil

import msgspec
import pytest

from audit_log.record import Invocation, Origin, Outcome, ToolOutcome, new_record_id
from proxy.journal import DEFAULT_LIMITS, Limits, open_journal
from proxy.journal.line_text import record_line
from proxy.journal.ring import Ring
from tests.neighbours.journal import (
    BEGINNING,
    SMALL,
    a_record,
    everything,
    interrupted,
    segments,
    shared_memory,
    until,
)
from tests.neighbours.journal_child import journal_child
from tests.neighbours.journal_files import copy


@pytest.fixture
def ring_directory():
    with shared_memory() as folder:
        yield folder


async def killed_after(lines, folder, ring_directory):
    """Let a child go on until it has said *lines* lines; return what it said until it died."""
    async with journal_child(str(folder), str(ring_directory)) as (process, output):
        said = [await output.readline() for _ in range(lines)]
        process.kill()
        said += (await output.read()).splitlines(keepends=True)
        await process.wait()
    lines_of = {what: [line for line in said if line.startswith(what)] for what in (b"b", b"e")}
    return tuple(
        {line.decode().split()[1] for line in lines if line.endswith(b"\n")}
        for lines in lines_of.values()
    )


# A ring of 128 KiB turns over at about 500 records.
@pytest.mark.parametrize("lines", [1, 17, 400, 2_003, 5_000])
async def test_every_call_has_one_record_after_a_kill(lines, tmp_path, ring_directory):
    began, ended = await killed_after(lines, tmp_path, ring_directory)
    async with open_journal(
        tmp_path, instance="next", ring_directory=ring_directory, limits=SMALL
    ) as (_intake, journal):
        records, gaps = await everything(journal)

    told = [str(record.id) for record in records]
    assert len(told) == len(set(told))
    # What was not said any more may have been done all the same, by one step.
    assert len(set(told) - began) <= 1
    assert began <= set(told)
    completed = {str(r.id) for r in records if r.outcome is Outcome.COMPLETED}
    assert ended <= completed
    assert len(completed - ended) <= 1
    assert {r.status_code for r in records if str(r.id) not in completed} <= {0}
    assert sum(gap.count or 0 for gap in gaps) == 0
    assert list(ring_directory.iterdir()) == []


async def test_killed_again_and_again_nothing_is_lost_or_repeated(tmp_path, ring_directory):
    began, ended = set(), set()
    for lines in (900, 100, 3, 1_500):
        began_now, ended_now = await killed_after(lines, tmp_path, ring_directory)
        began |= began_now
        ended |= ended_now
    async with open_journal(
        tmp_path, instance="next", ring_directory=ring_directory, limits=SMALL
    ) as (_intake, journal):
        records, gaps = await everything(journal)

    told = [str(record.id) for record in records]
    assert len(told) == len(set(told))
    assert began <= set(told)
    assert ended <= {str(r.id) for r in records if r.status_code == 200}
    assert gaps == []


@pytest.fixture
def opened(tmp_path, ring_directory):
    def open_it(limits=SMALL, memory=ring_directory):
        return open_journal(
            tmp_path / "journal", instance="a", ring_directory=memory, limits=limits
        )

    return open_it


@pytest.fixture
def killed(tmp_path, ring_directory):
    """Keep what a kill at this moment leaves in memory and on disk; put it there afterwards."""
    kept, journal = tmp_path / "kept", tmp_path / "journal"

    def now():
        copy(ring_directory, kept / "memory")
        copy(journal, kept / "journal")

    def found():
        shutil.rmtree(journal)
        shutil.copytree(kept / "journal", journal)
        return kept / "memory"

    return now, found


_TOOL_CALL = Invocation(
    id=new_record_id(),
    created_at=BEGINNING,
    tool="delete",
    outcome=ToolOutcome.OK,
    status_code=200,
    origin=Origin.MCP,
    instance="here",
)


def a_tool_call(**values):
    return msgspec.structs.replace(_TOOL_CALL, **values)


NOTHING_MOVES = Limits(ring_bytes=1, segment_bytes=1, max_bytes=1)


@pytest.mark.parametrize("noted", [0, 50])
async def test_killed_between_moving_to_disk_and_noting_it(noted, opened, killed, tmp_path):
    now, found = killed
    async with opened() as (intake, journal):
        records = [a_record(number) for number in range(200)]
        for record in records:
            intake.offer(record)
        await until(lambda: not intake.ring_bytes_in_use)
        now()
    memory = found()
    [path] = memory.glob("*.head")
    ring = Ring.open(path)
    ring.moved = len(b"".join(record_line(n + 1, r) for n, r in enumerate(records[:noted])))
    ring.close()

    async with opened(memory=memory) as (intake, journal):
        intake.offer(a_record(200))
        await until(lambda: not intake.ring_bytes_in_use)
        on_disk = sum(path.stat().st_size for path in segments(tmp_path / "journal"))
        assert journal.bytes_on_disk == on_disk
        read, gaps = await everything(journal)
    assert read[:-1] == records
    assert gaps == []


async def test_killed_between_recording_a_call_and_freeing_its_slot(opened, killed):
    now, found = killed
    record = a_record()
    async with opened() as (intake, journal):
        intake.begin(interrupted(record))
        intake.offer(record)
        now()
    async with opened(memory=found()) as (intake, journal):
        assert await everything(journal) == ([record], [])
        assert intake.in_flight == 0


async def test_killed_while_a_tool_call_waits_for_its_client(opened, killed):
    now, found = killed
    begun, asked, unseen = (
        a_tool_call(outcome=outcome)
        for outcome in (ToolOutcome.INTERRUPTED, ToolOutcome.ASKED, ToolOutcome.UNKNOWN)
    )
    async with opened() as (intake, journal):
        slot = intake.begin(begun)
        intake.offer(asked)
        intake.change(slot, unseen)
        now()
    async with opened(memory=found()) as (intake, journal):
        batch = await journal.read()
        assert batch is not None
        assert batch.invocations == [asked, unseen]
        assert intake.in_flight == 0


async def test_interrupted_calls_wait_for_room_in_a_full_head(opened, killed):
    now, found = killed
    async with opened(NOTHING_MOVES) as (intake, journal):
        begun = [a_record(number) for number in range(50)]
        for record in begun:
            intake.begin(interrupted(record))
        kept = 0
        while intake.offer(a_record(1_000 + kept)):
            kept += 1
        now()

    async with opened(NOTHING_MOVES, found()) as (intake, journal):
        assert intake.is_behind
        records, gaps = await everything(journal)
        assert len(records) == kept
        await until(lambda: not intake.is_behind)
        late, told = await everything(journal)
    assert [record.id for record in late] == [record.id for record in begun]
    assert {record.outcome for record in late} == {Outcome.INTERRUPTED}
    assert [gap.count for gap in gaps + told] == [1]


@pytest.mark.parametrize("ending", ["kill", "stop"])
async def test_calls_without_a_slot_become_a_gap(ending, opened, killed):
    now, found = killed
    async with opened(DEFAULT_LIMITS) as (intake, journal):
        slots = [intake.begin(interrupted(a_record(number))) for number in range(20_000)]
        lost = sum(slot < 0 for slot in slots)
        assert "would be lost at a kill" in intake.problem
        assert intake.end(slots[slots.index(-1)], a_record(20_000))
        now()
    memory = {"memory": found()} if ending == "kill" else {}
    async with opened(DEFAULT_LIMITS, **memory) as (intake, journal):
        assert intake.problem is None
        records, gaps = await everything(journal)
    assert lost > 0
    assert [(gap.count, gap.reason) for gap in gaps] == [(lost - 1, "unprotected")]
    assert gaps[0].started_at <= gaps[0].ended_at
    assert len(records) + lost - 1 == 20_000
