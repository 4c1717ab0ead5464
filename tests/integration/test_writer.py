"""The writer between a real journal and a real PostgreSQL."""

import asyncio

import pytest

from audit_log.postgres.database import open_database
from audit_log.postgres.search import RecordQuery
from audit_log.record import Gap, new_record_id
from proxy.delivery.writer import Writer, writing
from proxy.journal import open_journal
from tests.neighbours.journal import BEGINNING, SMALL, a_record, interrupted, until
from tests.neighbours.readable_store import ReadableStore


async def nobody(hashes):
    return dict.fromkeys(hashes)


@pytest.fixture
async def sides(tmp_path):
    """The intake of a journal, and its reading side."""
    async with open_journal(
        tmp_path / "journal", instance="sidecar-1", ring_directory=tmp_path / "ring", limits=SMALL
    ) as both:
        yield both


@pytest.fixture
def intake(sides):
    return sides[0]


@pytest.fixture
def journal(sides):
    return sides[1]


async def recorded(store):
    return list(reversed(await store.search(RecordQuery(limit=100_000))))


async def test_what_went_into_the_journal_is_in_the_database(intake, journal, store):
    records = [a_record(number) for number in range(300)]
    async with writing(Writer(journal, store, nobody), drain_seconds=20):
        for record in records:
            intake.end(intake.begin(interrupted(record)), record)
    assert await recorded(store) == records
    assert not journal.has_unwritten


async def test_a_batch_whose_answer_was_lost_is_written_once(intake, journal, store):
    records = [a_record(number) for number in range(100)]
    for record in records:
        intake.offer(record)
    # Written, and killed before the commit.
    await store.append((await journal.read()).records)
    async with writing(Writer(journal, store, nobody), drain_seconds=20):
        pass
    assert await recorded(store) == records


async def test_a_record_that_postgresql_refuses_is_quarantined(intake, journal, store, tmp_path):
    poison = a_record(1, path="/%00\x00")
    writer = Writer(journal, store, nobody)
    async with writing(writer, drain_seconds=20):
        for record in (a_record(0), poison, a_record(2)):
            intake.offer(record)
    assert [r.path for r in await recorded(store)] == [a_record(0).path, a_record(2).path]
    assert writer.quarantined == 1
    aside = (tmp_path / "journal" / "set_aside" / "records.ndjson").read_text()
    assert str(poison.id) in aside


async def test_a_gap_is_stored(intake, journal, store):
    refused = 0
    while not refused:
        refused += not intake.offer(a_record())
    async with writing(Writer(journal, store, nobody), drain_seconds=20):
        await until(lambda: not journal.has_unwritten)
        # Told when there is room again, though no call comes.
        await until(lambda: not intake.is_behind and not journal.has_unwritten)
    [gap] = await store.gaps()
    assert isinstance(gap, Gap)
    assert (gap.count, gap.reason, gap.instance) == (refused, "journal_full", "sidecar-1")


async def test_a_database_that_is_away_delays_and_loses_nothing(
    intake, journal, postgres, database_url
):
    records = [a_record(number) for number in range(2_000)]
    async with open_database(database_url, application="writer") as database:
        store = ReadableStore(database)
        writer = Writer(journal, store, nobody)
        async with writing(writer, drain_seconds=20):
            for number, record in enumerate(records):
                assert intake.offer(record)
                if number % 500 == 250:
                    await no_connections(postgres, database_url, allowed=False)
                    intake.offer(a_record(10_000 + number))
                    await until(lambda: writer.problem)
                if number % 500 == 499:
                    await no_connections(postgres, database_url, allowed=True)
                if number % 50 == 0:
                    await until(lambda: intake.ring_bytes_in_use < 60_000)
        written = await recorded(store)
    assert len({record.id for record in written}) == len(written) == 2_004
    assert writer.progress.written == 2_004


async def no_connections(postgres, url, *, allowed):
    """Let nobody into the database, and end whoever is there."""
    name = url.rpartition("/")[2].partition("?")[0]
    async with open_database(postgres.url(), application="operator") as database:
        await database.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {str(allowed).lower()}")
        if not allowed:
            await database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )


async def test_what_the_writer_does_not_get_to_is_written_by_the_next_start(tmp_path, store):
    def opened():
        return open_journal(
            tmp_path / "journal", instance="a", ring_directory=tmp_path / "ring", limits=SMALL
        )

    class Away:
        async def append(self, _):
            await asyncio.Event().wait()

        append_invocations = append_gaps = append

    records = [a_record(number) for number in range(100)]
    async with (
        opened() as (intake, journal),
        writing(Writer(journal, Away(), nobody), drain_seconds=0.1),
    ):
        for record in records:
            intake.offer(record)
    async with opened() as (_, journal), writing(Writer(journal, store, nobody), drain_seconds=20):
        pass
    assert await recorded(store) == records


async def test_a_clock_that_jumps_breaks_neither_order_nor_insert(intake, journal, store):
    years = [
        a_record(number, created_at=BEGINNING.replace(year=year))
        for number, year in enumerate((2026, 1999, 2090, 2026))
    ]
    writer = Writer(journal, store, nobody)
    async with writing(writer, drain_seconds=20):
        for record in years:
            intake.offer(record)
    assert writer.progress.written == 4
    assert {r.id for r in await recorded(store)} == {r.id for r in years}
    assert new_record_id() > years[-1].id
