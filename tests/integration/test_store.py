from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from audit_log.errors import RecordRefusedError, StoreUnavailableError
from audit_log.filters import RecordFilter, one_of
from audit_log.postgres.database import open_database
from audit_log.postgres.search import RecordQuery, search_statement
from audit_log.postgres.store import Store
from audit_log.record import Attribution, Gap, new_record_id
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.records import ARRIVAL, a_record

DOCUMENTED_CLEAN_UP = "DELETE FROM mcp_audit_log WHERE created_at < NOW() - INTERVAL '90 days';"


async def test_a_record_comes_back_as_it_was_kept(store):
    full = a_record(
        token_id=uuid4(),
        duration_ms=12.5,
        client_ip="2001:db8::7",
        user_agent='tab\t "quoted" \\ ünï 🚀',
        tool="list_clusters",
        invocation_id=uuid4(),
        attribution=Attribution.INFERRED,
        request_id="req-1",
    )
    await store.append([full])

    assert await store.search(RecordQuery()) == [full]


@pytest.mark.parametrize(
    "text",
    ["", "null", '"', "\\", '\\"', "\\n", "\\\n", "\\.", "],[", "a,b", "\r\n\t\x01\x7f\u2028"],
)
async def test_a_text_is_kept_letter_by_letter(store, text):
    record = a_record(path=f"/{text}", user_agent=text, request_id=None)
    await store.append([a_record(), record, a_record()])

    assert record in await store.search(RecordQuery())


async def test_a_table_with_row_level_security_takes_records(store, database):
    await database.execute(
        "ALTER TABLE mcp_audit_log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY any_of_ours ON mcp_audit_log WITH CHECK (path <> '/no');"
        "DROP ROLE IF EXISTS rows_writer; CREATE ROLE rows_writer;"
        "GRANT INSERT ON mcp_audit_log TO rows_writer"
    )
    record = a_record()
    try:
        await database.execute("SET ROLE rows_writer")
        await Store(database).append([record])
    finally:
        await database.execute("RESET ROLE; DROP OWNED BY rows_writer; DROP ROLE rows_writer")

    assert await store.search(RecordQuery()) == [record]


async def test_what_is_unknown_comes_back_as_none(store):
    await store.append([a_record()])

    [kept] = await store.search(RecordQuery())
    assert kept.token_id is None
    assert kept.duration_ms is None
    assert kept.attribution is None


async def test_records_come_back_newest_first_and_as_many_as_asked(store):
    records = [a_record(created_at=ARRIVAL + timedelta(seconds=number)) for number in range(5)]
    twin = a_record(created_at=records[-1].created_at)
    await store.append([*records, twin])

    assert await store.search(RecordQuery(limit=3)) == [twin, records[4], records[3]]


async def test_records_of_one_token_leave_out_the_others(store):
    token_id = uuid4()
    mine = a_record(token_id=token_id)
    await store.append([a_record(token_id=uuid4()), mine, a_record()])

    query = RecordQuery(filter=RecordFilter(token_id=one_of(token_id)))
    assert await store.search(query) == [mine]
    assert await store.search(RecordQuery(filter=RecordFilter(token_id=one_of(uuid4())))) == []


async def test_appending_twice_leaves_one(store):
    first, second = a_record(), a_record()
    await store.append([first])
    await store.append([first, second])

    assert await store.search(RecordQuery()) == [second, first]


async def test_appending_twice_leaves_one_also_in_an_odd_month(store):
    astray = a_record(created_at=datetime(1999, 12, 31, tzinfo=UTC))
    await store.append([astray, a_record()])
    await store.append([a_record(), astray])

    assert len(await store.search(RecordQuery())) == 3


async def test_appending_nothing_is_nothing(store):
    await store.append([])
    await store.append_gaps([])

    assert await store.search(RecordQuery()) == []


async def test_a_token_that_nobody_knows_is_recorded_under_its_hash(store):
    await store.append([a_record(token_name=None, token_hash="1a2b3c4d" + "0" * 56)])

    [kept] = await store.search(RecordQuery())
    assert kept.token_name == "Unknown token (1a2b3c4d)"


async def test_a_record_of_an_odd_month_is_kept(store):
    astray = a_record(created_at=datetime(1999, 12, 31, tzinfo=UTC))
    await store.append([astray])

    assert await store.search(RecordQuery()) == [astray]


@pytest.mark.parametrize(
    "poison",
    [
        {"path": "/\0"},
        {"path": "/\ud800"},
        {"status_code": 1_000_000},
        {"duration_ms": 1e300},
        {"client_ip": "not an address"},
    ],
    ids=str,
)
async def test_a_record_that_postgresql_cannot_hold_is_refused_and_nothing_of_its_batch_kept(
    store, poison
):
    with pytest.raises(RecordRefusedError):
        await store.append([a_record(), a_record(**poison)])

    assert await store.search(RecordQuery()) == []


async def test_a_record_that_a_rule_of_the_operator_forbids_is_refused(store, database):
    await database.execute("ALTER TABLE mcp_audit_log ADD CONSTRAINT ours CHECK (path <> '/no')")

    with pytest.raises(RecordRefusedError):
        await store.append([a_record(path="/no")])


async def test_a_record_that_a_trigger_of_the_operator_forbids_is_refused(store, database):
    await database.execute(
        """
        CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'not here'; END $$;
        CREATE TRIGGER forbid BEFORE INSERT ON mcp_audit_log
            FOR EACH ROW EXECUTE FUNCTION forbid();
        """
    )

    with pytest.raises(RecordRefusedError, match="not here"):
        await store.append([a_record()])


async def test_a_missing_partition_is_not_the_records_fault(store, database):
    await database.execute("DROP TABLE mcp_audit_log_default")

    with pytest.raises(StoreUnavailableError, match="no partition"):
        await store.append([a_record(created_at=datetime(1999, 1, 1, tzinfo=UTC))])


async def test_a_refusal_does_not_quote_the_record(store, database):
    await database.execute("ALTER TABLE mcp_audit_log ADD CONSTRAINT ours CHECK (path <> '/no')")

    with pytest.raises(RecordRefusedError) as raised:
        await store.append([a_record(path="/no", user_agent="something private")])

    assert "ours" in str(raised.value)
    assert "something private" not in str(raised.value)


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE mcp_audit_log",
        "ALTER TABLE mcp_audit_log DROP COLUMN tool",
        "ALTER DATABASE {name} SET default_transaction_read_only = on",
    ],
)
async def test_a_database_that_is_not_ready_is_not_the_records_fault(
    database_url, damage, postgres
):
    async with open_database(database_url, application="test") as database:
        await database.execute(damage.format(name=database_url.rpartition("/")[2]))
    async with open_database(database_url, application="test") as database:
        with pytest.raises(StoreUnavailableError):
            await Store(database).append([a_record()])


async def test_gaps_come_back_newest_first(store):
    counted = Gap(
        id=new_record_id(),
        started_at=ARRIVAL,
        ended_at=ARRIVAL + timedelta(minutes=1),
        count=12,
        reason="journal_full",
        instance="sidecar-1",
    )
    uncounted = msgspec.structs.replace(
        counted, id=new_record_id(), started_at=ARRIVAL + timedelta(hours=1), count=None
    )
    await store.append_gaps([counted, uncounted])
    await store.append_gaps([counted])

    assert await store.gaps(limit=10) == [uncounted, counted]
    assert await store.gaps(limit=1) == [uncounted]


async def test_the_documented_clean_up_deletes_what_is_old_and_nothing_else(store, database):
    now = datetime.now(UTC)
    old = a_record(created_at=now - timedelta(days=91))
    recent = a_record(created_at=now - timedelta(days=89))
    await store.append([old, recent])

    await database.execute(DOCUMENTED_CLEAN_UP)

    assert await store.search(RecordQuery()) == [recent]


@pytest.mark.parametrize("token_id", [None, uuid4()], ids=["all tokens", "one token"])
async def test_the_documented_questions_are_answered_from_an_index(store, database, token_id):
    await store.append([a_record(token_id=token_id) for _ in range(2_000)])
    await database.execute("ANALYZE mcp_audit_log")

    wanted = RecordFilter() if token_id is None else RecordFilter(token_id=one_of(token_id))
    sql, arguments = search_statement(RecordQuery(filter=wanted))
    plan = await database.fetch("EXPLAIN " + sql, *arguments)
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in text
    assert "->  Sort" not in text
    assert "->  Incremental Sort" not in text


async def test_a_role_that_may_only_insert_can_append(store, database, database_url):
    await database.execute(
        "DROP ROLE IF EXISTS writer; CREATE ROLE writer LOGIN PASSWORD 'w';"
        "GRANT INSERT ON mcp_audit_log, mcp_audit_gap TO writer"
    )
    record = a_record()
    try:
        as_writer = database_url.replace(database_url.split("@")[0], "postgresql://writer:w")
        async with open_database(as_writer, application="test") as restricted:
            await Store(restricted).append([record])
            await Store(restricted).append([record])
    finally:
        await database.execute("DROP OWNED BY writer; DROP ROLE writer")

    assert await store.search(RecordQuery()) == [record]


async def test_an_audit_log_that_is_a_view_takes_records_though_no_copy(database):
    await prepare_audit_log(database)
    await database.execute("ALTER TABLE mcp_audit_log RENAME TO beneath")
    await database.execute("CREATE VIEW mcp_audit_log AS SELECT * FROM beneath")

    await Store(database).append([a_record()])

    assert len(await database.fetch("SELECT FROM beneath")) == 1
