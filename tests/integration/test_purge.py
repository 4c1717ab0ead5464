"""Old records go as the settings say, while others write, read and delete."""

import asyncio
import json
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from audit_log.errors import RecordRefusedError, StoreUnavailableError
from audit_log.postgres.database import open_database
from audit_log.postgres.measurement import measure
from audit_log.postgres.purge import applied_retention, apply_retention, purging
from audit_log.postgres.readers.read_rows import append_reads
from audit_log.postgres.store import Store
from audit_log.reads import Read, ReadKind
from audit_log.record import Gap, Invocation, Origin, ToolOutcome, new_record_id
from audit_log.retention import Retention
from audit_log.schema.migrate import ensure_partitions
from proxy.delivery.retention import RetentionUpkeep
from tests.neighbours.adopted import adopt
from tests.neighbours.audit_log_command import audit_log
from tests.neighbours.journal_home import journal_home
from tests.neighbours.ops import degraded, metric, recovered
from tests.neighbours.patience import eventually
from tests.neighbours.postgres import fresh_database
from tests.neighbours.records import a_record

NOW = datetime.now(UTC)
MONTHS = 6
EVERY_HOUR = 24 * 30 * MONTHS
_FILL = """
INSERT INTO mcp_audit_log (
    id, token_name, method, path, status_code, created_at, outcome, instance)
SELECT gen_random_uuid(), 'ci', 'GET', '/api/v1/hosts', 200, now() - row * interval '1 hour',
    'completed', 'test'
FROM generate_series(1, $1) AS row
"""


async def fill(database) -> None:
    """Have a record of each hour of the last months, each in its month's partition."""
    for month in range(MONTHS + 1):
        await ensure_partitions(database, NOW - timedelta(days=30 * month))
    await database.execute(_FILL, EVERY_HOUR)
    await database.execute("ANALYZE mcp_audit_log")


@pytest.fixture(scope="module")
def filled_template(module_database_url) -> str:
    """A database with those records, to be copied."""

    async def make() -> None:
        async with open_database(module_database_url, application="template") as database:
            await fill(database)

    asyncio.run(make())
    return str(module_database_url.rpartition("/")[2])


@pytest.fixture
async def filled_url(postgres, filled_template):
    async with fresh_database(postgres, template=filled_template) as url:
        yield url


@pytest.fixture
async def filled(filled_url):
    async with open_database(filled_url, application="test") as opened:
        yield opened


async def kept(database, table="mcp_audit_log") -> int:
    [row] = await database.fetch(f"SELECT count(*) FROM {table}")
    return int(row[0])


async def partitions(database) -> int:
    [row] = await database.fetch(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'mcp_audit_log'::regclass"
    )
    return int(row[0])


async def purge(database, moment) -> int:
    return sum([removed.records async for removed in purging(database, moment)])


def purged(url, *arguments, **settings) -> list[str]:
    code, output, complaint = audit_log(url, "purge", *arguments, **settings)
    assert (code, complaint) == (0, "")
    return output.splitlines()


async def test_whole_partitions_are_dropped_and_the_edge_is_deleted(filled_url, filled):
    before = await partitions(filled)

    said = purged(filled_url, "--yes", AUDIT_LOG_RETENTION_DAYS="50")

    assert said[0] == "applied: 50 days"
    assert said[-1].startswith("kept: everything since ")
    assert any(line.startswith("dropped mcp_audit_log_") for line in said)
    assert any(line.startswith("deleted ") for line in said)
    assert await kept(filled) in (24 * 50, 24 * 50 + 1)
    assert await partitions(filled) < before


async def test_who_read_the_log_is_kept_as_long_as_the_log(database_url, database):
    def read(days: int) -> Read:
        moment = NOW - timedelta(days=days)
        return Read(
            id=new_record_id(),
            created_at=moment,
            kind=ReadKind.QUESTION,
            question="/",
            instance="a",
        )

    await append_reads(database, [read(days) for days in (1, 49, 51, 400)])
    parts = {part.name: part for part in (await measure(database)).parts}
    assert parts["mcp_audit_read"].bytes > 0

    said = purged(database_url, "--yes", AUDIT_LOG_RETENTION_DAYS="50")

    assert "deleted 2 rows of mcp_audit_read" in said
    assert await kept(database, "mcp_audit_read") == 2


async def test_a_preview_tells_and_removes_nothing(filled_url, filled):
    said = purged(filled_url, "--dry-run", AUDIT_LOG_RETENTION_DAYS="50")

    assert any("dropped  from " in line for line in said)
    assert any("cleaned  from " in line for line in said)
    assert said[-2].startswith("would go: all before ")
    assert said[-1] == "it cuts the log short by more than half: purge will ask for --yes"
    assert await kept(filled) == EVERY_HOUR
    assert (await applied_retention(filled)).retention == Retention()


async def test_without_a_retention_nothing_goes(filled_url, filled):
    assert purged(filled_url, "--dry-run") == ["nothing would go"]
    assert purged(filled_url) == ["nothing has to go"]
    assert await kept(filled) == EVERY_HOUR


async def test_cutting_the_log_short_by_more_than_half_has_to_be_confirmed(filled_url, filled):
    code, output, complaint = audit_log(filled_url, "purge", AUDIT_LOG_RETENTION_DAYS="50")

    assert (code, output) == (1, "")
    assert "confirm it with --yes" in complaint
    assert await kept(filled) == EVERY_HOUR


async def test_the_oldest_go_until_the_log_fits_its_budget(filled_url, filled):
    log_size = await measure(filled)
    budget = log_size.used_bytes - log_size.by_time[0].used_bytes
    settings = {"AUDIT_LOG_MAX_BYTES": str(max(budget, 1 << 20))}

    said = purged(filled_url, "--yes", **settings)

    assert any(line.startswith("dropped ") for line in said)
    assert 0 < await kept(filled) < EVERY_HOUR
    [newest] = await filled.fetch("SELECT max(created_at) FROM mcp_audit_log")
    assert newest[0] > NOW - timedelta(hours=2)
    assert purged(filled_url, **settings) == ["nothing has to go"]


async def test_an_adopted_table_is_cleaned_in_batches(empty_database_url):
    async with open_database(empty_database_url, application="test") as database:
        await adopt(database, 18_000)
        await apply_retention(database, Retention(days=50))
        steps = [removed.records async for removed in purging(database, NOW - timedelta(days=50))]

        assert steps[:2] == [5_000, 5_000]
        assert 0 < steps[2] < 5_000
        assert await kept(database) in range(5_990, 6_010)


async def test_tool_calls_and_gaps_go_with_the_records(database, store):
    old, new = NOW - timedelta(days=60), NOW - timedelta(days=10)
    for time in (old, new):
        await store.append([a_record(created_at=time)])
        await store.append_invocations([a_tool_call(time)])
        await store.append_gaps([a_gap(time)])
    await apply_retention(database, Retention(days=50))

    await purge(database, NOW - timedelta(days=50))

    for table in ("mcp_audit_log", "mcp_tool_invocation", "mcp_audit_gap"):
        assert await kept(database, table) == 1


def a_gap(time: datetime) -> Gap:
    return Gap(
        id=new_record_id(),
        started_at=time,
        ended_at=time,
        count=1,
        reason="journal_full",
        instance="test",
    )


def a_tool_call(time: datetime) -> Invocation:
    return Invocation(
        id=new_record_id(),
        created_at=time,
        tool="list_clusters",
        outcome=ToolOutcome.OK,
        status_code=200,
        origin=Origin.MCP,
        instance="test",
        token_name="ci",
    )


@pytest.mark.parametrize(
    "retention", [Retention(), Retention(days=100), Retention(max_bytes=1 << 40)]
)
async def test_whoever_may_purge_cannot_remove_more_than_the_retention_lets_go(filled, retention):
    await apply_retention(filled, retention)

    with suppress(RecordRefusedError):
        await purge(filled, NOW - timedelta(days=50))

    assert await kept(filled) == EVERY_HOUR


async def test_whoever_asks_again_and_again_gets_no_more_than_the_budget_lets_go(
    empty_database_url,
):
    async with open_database(empty_database_url, application="test") as database:
        await adopt(database, 18_000)
        # Rows as large as the statistics take them for, with all columns of ours.
        await database.execute("CLUSTER mcp_audit_log USING mcp_audit_log_pkey; ANALYZE")
        budget = Retention(max_bytes=(await measure(database)).used_bytes * 9 // 10)
        await apply_retention(database, budget)
        lets_go = budget.keeps_from(await measure(database), NOW)
        assert lets_go is not None

        assert await purge(database, lets_go) > 0
        for _ in range(100):
            await database.fetch(
                "SELECT mcp_audit_purge($1, 1000)", datetime.now(UTC) - timedelta(days=1, hours=1)
            )

        assert await kept(database) > 18_000 // 2  # a table that looks nearly full counts as full
        assert budget.keeps_from(await measure(database), NOW) is None


async def test_no_batch_is_not_all_at_once(filled):
    await apply_retention(filled, Retention(days=50))

    assert await filled.fetch("SELECT mcp_audit_purge(now() - interval '51 days', NULL)") == []


_HIJACKERS = """
CREATE FUNCTION public.hijack(real, integer) RETURNS real LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'hijacked'; END $$;
CREATE OPERATOR public./ (FUNCTION = public.hijack, LEFTARG = real, RIGHTARG = integer);
CREATE FUNCTION public.hijack(oid, regclass) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'hijacked'; END $$;
CREATE OPERATOR public.= (FUNCTION = public.hijack, LEFTARG = oid, RIGHTARG = regclass);
CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'hijacked'; END $$;
"""


async def test_whoever_may_create_in_the_schema_does_not_lead_the_owners_functions(filled):
    await apply_retention(filled, Retention(days=50))
    await filled.execute(_HIJACKERS)

    assert (await measure(filled)).records > 0
    await ensure_partitions(filled, NOW + timedelta(days=400))
    assert await purge(filled, NOW - timedelta(days=50)) > 0


async def test_the_callers_time_zone_does_not_say_where_a_month_begins(filled):
    asked = "SELECT starts, ends FROM mcp_audit_extent()"
    as_usual = await filled.fetch(asked)
    async with filled.transaction() as caller:
        await caller.execute("SET LOCAL DateStyle = 'SQL'")
        # Five hours behind, and written as if it were ahead.
        await caller.execute("SET LOCAL TimeZone = '<+05>+5'")

        assert await caller.fetch(asked) == as_usual


async def test_the_documented_delete_works_beside_it_while_records_arrive(database_url):
    async with open_database(database_url, connections=6, application="test") as database:
        await fill(database)
        await apply_retention(database, Retention(days=90))
        news = [a_record(created_at=NOW) for _ in range(200)]
        done = asyncio.Event()

        async def append() -> None:
            for record in news:
                await patiently_append(Store(database), record)

        async def delete() -> None:
            while not done.is_set():
                await database.execute(
                    "DELETE FROM mcp_audit_log WHERE created_at < NOW() - INTERVAL '90 days'"
                )

        async def purge_twice() -> None:
            moment = NOW - timedelta(days=90)
            await asyncio.gather(*(until_done(database, moment) for _ in range(2)))
            done.set()

        await asyncio.gather(append(), delete(), purge_twice())

        ids = Counter(row["id"] for row in await database.fetch("SELECT id FROM mcp_audit_log"))
        assert max(ids.values()) == 1
        assert {record.id for record in news} <= ids.keys()
        assert len(ids) - len(news) in (24 * 90, 24 * 90 - 1)


async def test_rows_that_somebody_is_deleting_are_left_to_him(empty_database_url):
    async with open_database(empty_database_url, connections=2, application="test") as database:
        await adopt(database, 150)
        await apply_retention(database, Retention(days=50))
        async with database.transaction() as other:
            await other.execute(
                "DELETE FROM mcp_audit_log WHERE created_at < NOW() - INTERVAL '140 days'"
            )
            assert await purge(database, NOW - timedelta(days=50)) in range(88, 92)
        assert await kept(database) in range(48, 52)


async def patiently_append(store, record) -> None:
    # As the writer does: "not now" is tried again.
    while True:
        with suppress(StoreUnavailableError):
            await store.append([record])
            return


async def until_done(database, moment) -> None:
    for _ in range(100):
        with suppress(StoreUnavailableError):
            await purge(database, moment)
            return


async def test_a_reader_that_takes_long_is_not_pushed_aside_and_holds_nobody_up(database_url):
    async with open_database(database_url, connections=3, application="test") as database:
        await fill(database)
        await apply_retention(database, Retention(days=50))
        async with database.transaction() as reader:
            await reader.fetch("SELECT FROM mcp_audit_log")

            with pytest.raises(StoreUnavailableError, match="lock timeout"):
                await purge(database, NOW - timedelta(days=50))
            await Store(database).append([a_record(created_at=NOW)])

        assert await purge(database, NOW - timedelta(days=50)) > 0


async def test_a_sidecar_lets_old_records_go_and_says_so(filled_url, filled, upstream):
    settings = {"AUDIT_LOG_RETENTION_DAYS": "50", "AUDIT_LOG_LOG_FORMAT": "json"}
    with journal_home() as home:
        async with home.sidecar(upstream.url, filled_url, **settings) as sidecar:
            await degraded(sidecar, "confirm it with AUDIT_LOG_SHORTEN_RETENTION=true")
            assert await kept(filled) == EVERY_HOUR
        settings["AUDIT_LOG_SHORTEN_RETENTION"] = "true"
        async with home.sidecar(upstream.url, filled_url, **settings) as sidecar:

            async def has_purged() -> bool:
                return "retention.records_deleted" in sidecar.report()

            await eventually(has_purged, sidecar.report)
            await recovered(sidecar)
            assert await kept(filled) in (24 * 50, 24 * 50 + 1)
            assert await metric(sidecar, "log_records") == pytest.approx(24 * 50, rel=0.1)
            assert await metric(sidecar, "log_records_per_day") == pytest.approx(24, rel=0.2)
            assert await metric(sidecar, "log_bytes") > 0
            events = [
                json.loads(line)["event"]
                for line in sidecar.report().splitlines()
                if '"retention.' in line
            ]
    assert events[0] == "retention.applied"
    assert "retention.partition_dropped" in events
    assert events[-1] == "retention.records_deleted"


async def test_a_sidecar_removes_nothing_while_another_retention_is_applied(filled):
    upkeep = RetentionUpkeep(filled, Retention(days=100))
    assert await upkeep.look_after(NOW) is None
    left = await kept(filled)
    await apply_retention(filled, Retention(days=365))

    complaint = await upkeep.look_after(NOW + timedelta(days=30))

    assert complaint is not None
    assert complaint.startswith("another retention has been applied")
    assert await kept(filled) == left
    assert (await applied_retention(filled)).retention == Retention(days=365)


async def test_a_sidecar_warns_before_the_budget_is_reached(filled_url, filled, upstream):
    [row] = await filled.fetch("SELECT sum(bytes) FROM mcp_audit_extent()")
    settings = {"AUDIT_LOG_MAX_BYTES": str(int(row[0]) + 1_000)}
    with journal_home() as home:
        async with home.sidecar(upstream.url, filled_url, **settings) as sidecar:
            await degraded(sidecar, "reaches AUDIT_LOG_MAX_BYTES in")
            assert await metric(sidecar, "log_days_until_budget") < 14
            assert "retention.in_danger" in sidecar.report()


async def test_a_warning_is_not_lost_behind_another_trouble_and_comes_once(filled):
    told = []
    budget = Retention(max_bytes=(await measure(filled)).bytes + 1_000)
    upkeep = RetentionUpkeep(filled, budget, budget_nears=lambda *news: told.append(news))
    upkeep.problem = "the retention cannot be kept now: as it was a minute ago"

    for _ in range(2):
        assert await upkeep.look_after(NOW) is not None

    assert len(told) == 1


async def test_a_role_that_may_not_change_the_retention_says_so_and_keeps_to_it(
    filled_url, filled, upstream
):
    await filled.execute(
        "CREATE ROLE purger LOGIN PASSWORD 'p';"
        "GRANT INSERT ON mcp_audit_log, mcp_tool_invocation, mcp_audit_gap, mcp_audit_seal_log,"
        " mcp_audit_seal_checkpoint, mcp_audit_seal_tile, mcp_audit_seal_note,"
        " mcp_audit_seal_anchor TO purger;"
        "GRANT SELECT ON mcp_tokens TO purger;"
        "GRANT EXECUTE ON FUNCTION mcp_audit_purge, mcp_audit_seal_prune,"
        " mcp_audit_log_ensure_partitions TO purger"
    )
    url = filled_url.replace(filled_url.split("@")[0], "postgresql://purger:p")
    try:
        with journal_home() as home:
            settings = {"AUDIT_LOG_RETENTION_DAYS": "100"}
            async with home.sidecar(upstream.url, url, **settings) as sidecar:
                await degraded(sidecar, "as the owner of the audit log")
                assert await kept(filled) == EVERY_HOUR
            await apply_retention(filled, Retention(days=100))
            async with home.sidecar(upstream.url, url, **settings) as sidecar:

                async def has_purged() -> bool:
                    return await kept(filled) in (24 * 100, 24 * 100 + 1)

                await eventually(has_purged, sidecar.report)
                await recovered(sidecar)
    finally:
        await filled.execute("DROP OWNED BY purger; DROP ROLE purger")
