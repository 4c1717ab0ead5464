"""No room for records: calls do not notice, and what is lost is counted to the last one."""

import resource
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime

import pytest

from audit_log.postgres.token_table import TokenTable
from tests.neighbours.arrivals import entries_in
from tests.neighbours.audit_api import GAPS, serving_audit_api
from tests.neighbours.audit_database import nobody_let_in
from tests.neighbours.callers import received
from tests.neighbours.ops import degraded, metric, metric_becomes, readiness, records
from tests.neighbours.patience import eventually
from tests.neighbours.processes import children_of, keeper_of
from tests.neighbours.services import running

MEBIBYTE = 1024 * 1024
SMALL = {
    "PROXY_JOURNAL_MAX_BYTES": str(MEBIBYTE),
    "PROXY_JOURNAL_RING_BYTES": str(MEBIBYTE),
}
# Records as large as they can be, and three times as many of them as find room.
PADDING = 1_900
CALLS = 1_500


@contextmanager
def full_disk(sidecar, _home):
    """Let every write of the sidecar to a file fail, as on a disk without room."""
    [recorder] = children_of(keeper_of(sidecar))
    processes = (sidecar.pid, recorder)
    _, hard = resource.prlimit(recorder, resource.RLIMIT_FSIZE)
    for process in processes:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (0, hard))
    yield
    for process in processes:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def read_only_folder(_sidecar, home):
    """Let nothing be made in the journal folder, and nothing taken out of it."""
    for path in (home.journal, *home.journal.iterdir()):
        path.chmod(path.stat().st_mode & ~0o222)
    yield
    for path in (home.journal, *home.journal.iterdir()):
        path.chmod(path.stat().st_mode | 0o200)


@contextmanager
def full_journal(_sidecar, _home):
    """The disk is well; there are just too many records."""
    yield


@asynccontextmanager
async def small_sidecar(home, upstream, database_url):
    environment = {
        "AUDIT_LOG_DATABASE_URL": database_url,
        "PROXY_UPSTREAM_URL": upstream.url,
        "PROXY_PORT": "0",
        "PROXY_OPS_PORT": "0",
        **home.environment,
        **SMALL,
    }
    async with running("tests.neighbours.bound_proxy", environment) as sidecar:
        yield sidecar


async def complete(database, store, calls):
    """Return entries and gaps as soon as they account for *calls*."""

    async def look():
        entries, gaps = await entries_in(database), await store.gaps()
        known = len(entries) + sum(gap.count for gap in gaps)
        assert known <= calls
        return (entries, gaps) if known == calls else None

    return await eventually(look)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (full_journal, "has used up its bytes"),
        (full_disk, "journal disk fails"),
        (read_only_folder, "journal disk fails"),
    ],
    ids=["journal", "disk", "read_only"],
)
async def test_what_found_no_room_is_a_gap_of_exactly_that_size(
    home, upstream, callers, database, database_url, store, postgres, fault, complaint
):
    before = datetime.now(UTC)
    async with small_sidecar(home, upstream, database_url) as sidecar:
        await callers.make(sidecar.port, 1)
        await eventually(lambda: entries_in(database))
        with fault(sidecar, home):
            async with nobody_let_in(postgres, database_url):
                await callers.make(sidecar.port, CALLS)
                await degraded(sidecar, complaint)
                lost = await records(sidecar, "lost")
                assert 0 < lost < CALLS
            entries, gaps = await complete(database, store, 1 + CALLS)
        await callers.make(sidecar.port, 10)
        entries, gaps = await complete(database, store, 1 + CALLS + 10)

        await metric_becomes(sidecar, len(entries), "records_total", fate="written")
        assert await records(sidecar, "lost") == lost
        assert len([e for e in sidecar.log if e["event"] == "journal.full"]) == 1
        assert len(sidecar.log) < 15, sidecar.report()

    assert sum(gap.count for gap in gaps) == lost
    paths = [entry.path for entry in entries]
    assert paths == [path for path in received(upstream) if path in set(paths)]
    assert all(entry.tells_the_truth for entry in entries)
    for gap in gaps:
        assert (gap.reason, gap.instance) == ("journal_full", home.instance)
        assert before <= gap.started_at <= gap.ended_at <= datetime.now(UTC)
    await the_audit_api_tells_of(gaps, database, database_url)


async def the_audit_api_tells_of(gaps, database, database_url):
    _, secret = await TokenTable(database).create("operator", "admin", 1)
    async with serving_audit_api(database_url) as client:
        response = await client.get(GAPS, headers={"Authorization": f"Bearer {secret}"})
        told = await response.json()
    assert [(gap["id"], gap["count"], gap["reason"], gap["instance"]) for gap in told] == [
        (str(gap.id), gap.count, gap.reason, gap.instance) for gap in gaps
    ]
    times = [(gap["from"], gap["to"]) for gap in told]
    assert [tuple(map(datetime.fromisoformat, pair)) for pair in times] == [
        (gap.started_at, gap.ended_at) for gap in gaps
    ]


@pytest.mark.parametrize("fault", [full_disk, read_only_folder])
async def test_without_a_disk_everything_arrives_while_the_database_is_there(
    home, upstream, callers, database, database_url, store, fault
):
    async with small_sidecar(home, upstream, database_url) as sidecar:
        with fault(sidecar, home):
            # What the memory holds at a time, and several times what it holds in all.
            for _ in range(5):
                await callers.make(sidecar.port, CALLS // 5)
                await complete(database, store, len(callers.sent))
            assert await records(sidecar, "lost") == 0
            await degraded(sidecar, "journal disk fails")
    assert [entry.path for entry in await entries_in(database)] == received(upstream)
    assert await store.gaps() == []


async def test_a_sidecar_starts_in_a_folder_that_it_may_only_read(
    home, upstream, callers, database, database_url, store
):
    home.journal.mkdir(mode=0o500)
    async with small_sidecar(home, upstream, database_url) as sidecar:
        assert await sidecar.logged("journal.folder_not_writable")
        await callers.make(sidecar.port, 100)
        entries, _ = await complete(database, store, 100)
        assert (await readiness(sidecar))["status"] == "degraded"
        assert await metric(sidecar, "journal_disk_bytes") == 0
    home.journal.chmod(0o700)
    assert [entry.path for entry in entries] == received(upstream)


async def test_a_full_disk_gets_room_again_when_the_database_is_back(
    home, upstream, callers, database, database_url, store, postgres
):
    async with small_sidecar(home, upstream, database_url) as sidecar:
        with ExitStack() as disk:
            async with nobody_let_in(postgres, database_url):
                await callers.make(sidecar.port, CALLS // 5)

                async def has_moved():
                    return await metric(sidecar, "journal_ring_bytes") == 0

                await eventually(has_moved, sidecar.report)
                before = await metric(sidecar, "journal_disk_bytes")
                disk.enter_context(full_disk(sidecar, home))

            async def has_room():
                return await metric(sidecar, "journal_disk_bytes") < before / 2

            await eventually(has_room, sidecar.report)
    assert [entry.path for entry in await entries_in(database)] == received(upstream)
    assert await store.gaps() == []
