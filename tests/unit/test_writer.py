"""The writer: what it does with batches, whatever the store says of them."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from audit_log.errors import RecordRefusedError, StoreUnavailableError
from audit_log.process.background import BackgroundTasks
from audit_log.record import Gap, new_record_id
from audit_log.tokens import Token
from proxy.delivery.writer import Writer, writing
from proxy.journal import Batch
from tests.neighbours.journal import BEGINNING, a_record

TOKEN = Token(id=new_record_id(), name="ci deploy", role=None, expires_at=None, revoked_at=None)
KNOWN, UNKNOWN = "a" * 64, "b" * 64


class Source:
    """Batches in memory."""

    def __init__(self):
        self.batches: asyncio.Queue[Batch | None] = asyncio.Queue()
        self.committed: asyncio.Queue[Batch] = asyncio.Queue()
        self.aside = []
        self.unwritten_bytes = 0
        self.has_disk = True
        self.was_read_on = asyncio.Event()

    async def read(self, after=None):
        if after is not None:
            self.was_read_on.set()
        return await self.batches.get()

    def bytes_after(self, _batch):
        return self.unwritten_bytes

    def commit(self, batch):
        self.committed.put_nowait(batch)

    async def quarantine(self, line):
        if not self.has_disk:
            raise OSError("no disk")
        self.aside.append(json.loads(line))
        return "aside.ndjson"

    def end_reading(self):
        self.batches.put_nowait(None)

    def offer(self, *records, gaps=()):
        self.batches.put_nowait(Batch(0, 0, records=list(records), gaps=list(gaps)))


class Store:
    """A store that is away, or refuses what a test tells it to refuse."""

    def __init__(self):
        self.records = []
        self.invocations = []
        self.gaps = []
        self.appends = 0
        self.is_away = False
        self.asked = asyncio.Event()
        self.poison = set()

    async def append(self, records):
        self.appends += 1
        self.asked.set()
        if self.is_away:
            raise StoreUnavailableError("connection refused")
        if any(record.id in self.poison for record in records):
            raise RecordRefusedError("invalid byte sequence")
        self.records += records

    async def append_invocations(self, invocations):
        self.invocations += invocations

    async def append_gaps(self, gaps):
        if self.is_away:
            raise StoreUnavailableError("connection refused")
        self.gaps += gaps


class Directory:
    def __init__(self):
        self.is_away = False
        self.asked = asyncio.Event()

    async def find(self, hashes):
        self.asked.set()
        if self.is_away:
            raise StoreUnavailableError("out of reach")
        return {token_hash: TOKEN if token_hash == KNOWN else None for token_hash in hashes}


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def directory():
    return Directory()


@pytest.fixture
def writer(source, store, directory):
    return Writer(source, store, directory.find)


@asynccontextmanager
async def running(writer, seconds=5):
    async with asyncio.timeout(20), writing(writer, drain_seconds=seconds):
        yield


def a_gap():
    return Gap(
        id=new_record_id(),
        started_at=BEGINNING,
        ended_at=BEGINNING,
        count=3,
        reason="journal_full",
        instance="a",
    )


async def test_a_batch_is_written_and_then_committed(writer, source, store):
    records, gap = [a_record(number) for number in range(3)], a_gap()
    async with running(writer):
        source.offer(*records, gaps=[gap])
        await source.committed.get()
        assert (store.records, store.gaps) == (records, [gap])
        progress = writer.progress
        assert (progress.written, writer.quarantined, progress.batch_records) == (3, 0, 3)
        assert progress.batch_seconds > 0


async def test_names_are_looked_up_and_hashes_are_not_written(writer, source, store):
    async with running(writer):
        source.offer(
            a_record(1, token_name=None, token_hash=KNOWN),
            a_record(2, token_name=None, token_hash=UNKNOWN),
            a_record(3, token_name="named", token_hash=UNKNOWN),
        )
        await source.committed.get()
    first, second, third = store.records
    assert (first.token_id, first.token_name, first.token_hash) == (TOKEN.id, TOKEN.name, None)
    assert (second.token_id, second.token_name) == (None, "Unknown token (bbbbbbbb)")
    assert second.token_hash is None
    assert third.token_name == "named"


async def test_while_the_store_is_away_the_batch_waits_and_then_arrives_once(
    writer, source, store
):
    store.is_away = True
    records = [a_record(1), a_record(2)]
    async with running(writer):
        source.offer(*records)
        await store.asked.wait()
        store.asked.clear()
        await store.asked.wait()
        assert "connection refused" in writer.problem
        assert source.committed.empty()
        store.is_away = False
        await source.committed.get()
        assert store.records == records
        assert writer.problem is None


async def test_while_the_directory_is_away_the_batch_waits(writer, source, store, directory):
    directory.is_away = True
    async with running(writer):
        source.offer(a_record(token_name=None, token_hash=KNOWN))
        await directory.asked.wait()
        directory.asked.clear()
        await directory.asked.wait()
        assert store.appends == 0
        directory.is_away = False
        await source.committed.get()
        assert [record.token_name for record in store.records] == [TOKEN.name]


async def test_one_poison_record_among_thousands_is_quarantined_in_a_few_round_trips(
    writer, source, store
):
    records = [a_record(number) for number in range(2_000)]
    store.poison = {records[1_234].id}
    async with running(writer):
        source.offer(*records)
        await source.committed.get()
    assert store.records == records[:1_234] + records[1_235:]
    assert store.appends < 25
    [aside] = source.aside
    assert aside["record"]["id"] == str(records[1_234].id)
    assert aside["reason"] == "invalid byte sequence"
    assert (writer.progress.written, writer.quarantined) == (1_999, 1)


async def test_several_poison_records_are_all_found(writer, source, store):
    records = [a_record(number) for number in range(50)]
    store.poison = {records[index].id for index in (0, 17, 18, 49)}
    async with running(writer):
        source.offer(*records)
        await source.committed.get()
    assert store.records == [record for record in records if record.id not in store.poison]
    assert len(source.aside) == 4


async def test_a_poison_record_that_cannot_be_quarantined_becomes_a_gap(writer, source, store):
    source.has_disk = False
    poison = a_record(1)
    store.poison = {poison.id}
    async with running(writer):
        source.offer(poison, a_record(2))
        await source.committed.get()
    [gap] = store.gaps
    assert (gap.count, gap.reason, gap.started_at) == (1, "record_refused", poison.created_at)
    assert len(store.records) == 1


async def test_of_many_the_next_are_read_while_some_are_written(source):
    class Busy(Store):
        async def append(self, records):
            await source.was_read_on.wait()
            await super().append(records)

    source.unwritten_bytes = 1_000_000
    store = Busy()
    source.offer(a_record(1))
    source.offer(a_record(2))
    source.end_reading()
    async with asyncio.timeout(5):
        await Writer(source, store, Directory().find).run()
    assert [record.path[-1] for record in store.records] == ["1", "2"]


async def test_what_was_read_ahead_is_not_written_before_what_could_not_be(writer, source, store):
    source.unwritten_bytes = 1_000_000
    store.is_away = True
    source.offer(a_record(1))
    source.offer(a_record(2))
    writer.drain()
    await writer.run()
    assert store.appends == 1
    assert source.committed.empty()


async def test_a_stop_writes_what_is_there(writer, source, store):
    async with running(writer):
        source.offer(a_record(1))
        source.offer(a_record(2))
    assert len(store.records) == 2


async def test_a_stop_while_the_store_is_away_takes_no_time(writer, source, store):
    store.is_away = True
    async with asyncio.timeout(5), writing(writer, drain_seconds=60):
        source.offer(a_record(1))
        await store.asked.wait()
    assert source.committed.empty()


async def test_a_stop_ends_a_write_that_takes_too_long(source):
    class Slow(Store):
        async def append(self, _):
            self.asked.set()
            await asyncio.Event().wait()

    store = Slow()
    writer = Writer(source, store, Directory().find)
    async with asyncio.timeout(10), writing(writer, drain_seconds=0.1):
        source.offer(a_record(1))
        await store.asked.wait()
    assert source.committed.empty()


async def test_a_writer_that_fails_is_begun_again_and_says_so(source):
    class Broken(Store):
        async def append(self, records):
            if not self.asked.is_set():
                self.asked.set()
                raise TypeError("a defect")
            await super().append(records)

    store, tasks = Broken(), BackgroundTasks(first_delay_seconds=0.01)
    writer = Writer(source, store, Directory().find)
    async with asyncio.timeout(10), writing(writer, tasks, drain_seconds=1):
        source.offer(a_record(1))
        await store.asked.wait()
        source.offer(a_record(1))  # as a journal gives it again
        await source.committed.get()
        assert "audit-writer has failed" in tasks.problems[0]
        assert "a defect" in tasks.problems[0]
    assert len(store.records) == 1
