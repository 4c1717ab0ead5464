"""An adopted table is partitioned while it is in use; `make test-long` takes a larger one."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from audit_log.errors import StoreError
from audit_log.filters import RecordFilter, one_of
from audit_log.postgres.database import Database, open_database
from audit_log.postgres.rows import Place
from audit_log.postgres.search import RecordQuery, find, search
from audit_log.postgres.store import Store
from audit_log.record import new_record_id
from audit_log.schema.conversion import Conversion, Stage
from audit_log.schema.migrate import ensure_partitions, is_current
from tests.neighbours.adopted import PODWARDENS, adopt
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.audit_log_command import audit_log, environment
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.journal_home import journal_home
from tests.neighbours.patience import eventually
from tests.neighbours.records import a_record

ROWS = int(os.environ.get("CONVERT_ROWS", "20000"))
PAGE = 500


@pytest.fixture
async def database(empty_database_url):
    async with open_database(empty_database_url, connections=4, application="test") as opened:
        yield opened


async def ids(database, table="mcp_audit_log") -> Counter[UUID]:
    return Counter(row["id"] for row in await database.fetch(f"SELECT id FROM {table}"))


async def walk(database: Database) -> list[UUID]:
    """Page from the newest record to the oldest, as the audit API does."""
    seen: list[UUID] = []
    before = None
    while page := await search(database, RecordQuery(limit=PAGE, before=before)):
        seen += [record.id for record in page]
        before = Place.of(page[-1])
    return seen


# The copy goes on from its first batch only when nobody holds the lock.
HOLD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.copied > 0 THEN PERFORM pg_advisory_xact_lock(1); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER hold BEFORE UPDATE ON mcp_audit_conversion FOR EACH ROW EXECUTE FUNCTION hold();
"""


async def kill_half_way(url: str, database) -> None:
    """Begin a conversion and kill it when something has been copied, and not all."""

    async def has_copied() -> bool:
        return bool(await database.fetch("SELECT FROM mcp_audit_conversion WHERE copied > 0"))

    await database.execute(HOLD)
    async with database.transaction() as holding:
        await holding.execute("SELECT pg_advisory_xact_lock(1)")
        command = [sys.executable, "-m", "audit_log", "convert"]
        running = await asyncio.create_subprocess_exec(
            *command, env=environment(url), stdout=subprocess.DEVNULL
        )
        try:
            await eventually(has_copied)
        finally:
            running.kill()
            await running.wait()
        assert await Conversion(database).stage() is Stage.COPYING
    await database.execute("DROP TRIGGER hold ON mcp_audit_conversion")


@asynccontextmanager
async def in_use(url, database, upstream):
    """Have a sidecar write and a reader page meanwhile; yield the calls that are made."""
    upstream.plan(responding_by_path)
    callers = Callers(await prepare_audit_log(database))
    known = set(await ids(database))
    enough = asyncio.Event()

    async def use(port: int) -> int:
        walks = 0
        while not enough.is_set():
            await callers.make(port, 25)
            met = Counter(await walk(database))
            assert max(met.values()) == 1
            assert known <= met.keys()
            walks += 1
        return walks

    with journal_home() as home:
        async with home.sidecar(upstream.url, url) as sidecar:
            using = asyncio.create_task(use(sidecar.port))
            yield callers
            enough.set()
            assert await using > 1
            await arrived(database, len(known) + len(callers.sent))


@pytest.mark.timeout(900)
async def test_a_table_in_use_is_converted_though_the_command_is_killed_half_way(
    empty_database_url, database, upstream
):
    url = empty_database_url
    await adopt(database, ROWS)
    before = await ids(database)

    async with in_use(url, database, upstream) as callers:
        await kill_half_way(url, database)
        # What changes while nobody converts is not missed either.
        late = a_record(created_at=datetime(2026, 1, 1, tzinfo=UTC))
        await Store(database).append([late])
        deleted = await database.fetch(
            "DELETE FROM mcp_audit_log WHERE id = $1 RETURNING id", late.id
        )
        code, said, complaint = await asyncio.to_thread(audit_log, url, "convert")
        assert (code, complaint) == (0, "")

    assert len(deleted) == 1
    assert said.startswith("going on with the copy\n")
    assert "switched: mcp_audit_log is partitioned\n" in said
    after = await ids(database)
    assert max(after.values()) == 1
    assert before.keys() <= after.keys()
    assert len(after) == ROWS + len(callers.sent)
    assert late.id not in after
    assert {*await walk(database)} == after.keys()
    assert await rows_astray(database) == 0

    code, said, complaint = audit_log(url, "convert", "--verify")
    assert (code, complaint) == (0, "")
    assert " none missing\n" in said
    assert audit_log(url, "convert", "--drop-old")[0] == 0
    assert await Conversion(database).stage() is Stage.DONE


async def rows_astray(database) -> int:
    [row] = await database.fetch("SELECT count(*) FROM mcp_audit_log_default")
    return int(row[0])


async def test_a_converted_table_is_as_one_that_was_made_partitioned(
    empty_database_url, database, migrated_template, postgres
):
    await adopt(database, 100)
    assert audit_log(empty_database_url, "convert")[0] == 0
    assert audit_log(empty_database_url, "convert", "--drop-old")[0] == 0

    assert await is_current(database)
    await ensure_partitions(database, datetime(2027, 6, 1, tzinfo=UTC))
    ours = a_record(id=new_record_id(), created_at=datetime(2027, 6, 5, tzinfo=UTC))
    await Store(database).append([ours])
    await Store(database).append([ours])
    kept = await find(database, ours.id)
    assert kept is not None
    assert msgspec.structs.replace(kept, arrived_at=None) == ours
    await database.execute(
        "DELETE FROM mcp_audit_log WHERE created_at < NOW() - INTERVAL '90 days'"
    )
    indexes = (
        "SELECT indexname FROM pg_indexes WHERE tablename = 'mcp_audit_log' ORDER BY indexname"
    )
    async with open_database(postgres.url(migrated_template), application="test") as fresh:
        wanted = await fresh.fetch(indexes)
    assert await database.fetch(indexes) == wanted
    assert audit_log(empty_database_url, "convert") == (
        0,
        "mcp_audit_log is partitioned already\n",
        "",
    )


@pytest.mark.parametrize(
    "setting",
    [
        "timezone = 'America/New_York'",
        "timezone = 'Pacific/Kiritimati'",
        "quote_all_identifiers = on",
        "standard_conforming_strings = off",
    ],
)
async def test_a_conversion_ends_wherever_the_database_lives(
    empty_database_url, database, setting
):
    name = empty_database_url.rpartition("/")[2]
    await adopt(database, 300)
    await Store(database).append(
        [a_record(created_at=datetime(2025, month, 1, tzinfo=UTC)) for month in range(1, 13)]
    )
    await database.execute(f"ALTER DATABASE {name} SET {setting}")

    code, said, complaint = audit_log(empty_database_url, "convert")

    assert (code, complaint) == (0, "")
    assert "verified: 312 records, none missing\n" in said
    for month in range(1, 13):
        [row] = await database.fetch(f"SELECT count(*) FROM mcp_audit_log_2025_{month:02}")
        assert row[0] == 1


async def test_a_table_is_adopted_where_all_names_are_quoted(empty_database_url, database):
    name = empty_database_url.rpartition("/")[2]
    await database.execute(PODWARDENS)
    await database.execute(f"ALTER DATABASE {name} SET quote_all_identifiers = on")

    code, said, complaint = audit_log(empty_database_url, "migrate")

    assert (code, complaint) == (0, "")
    assert said.startswith("applied 0001_audit_log.sql\n")


async def test_who_may_write_and_read_the_table_may_still(empty_database_url, database):
    await adopt(database, 10)
    await database.execute(
        "CREATE ROLE converting LOGIN PASSWORD 'c';"
        "GRANT INSERT, SELECT ON mcp_audit_log TO converting"
    )
    url = empty_database_url.replace(empty_database_url.split("@")[0], "postgresql://converting:c")
    try:
        await Conversion(database).begin()
        async with open_database(url, application="test") as restricted:
            await Store(restricted).append([a_record(path="/during")])
            assert audit_log(empty_database_url, "convert")[0] == 0
            await Store(restricted).append([a_record(path="/after")])
            found = await search(
                restricted, RecordQuery(filter=RecordFilter(token_name=one_of("ci")))
            )
    finally:
        await database.execute("DROP OWNED BY converting; DROP ROLE converting")
    assert sorted(record.path for record in found) == ["/after", "/during"]


async def test_nobody_brings_rows_to_the_copy_by_a_table_of_his_own(empty_database_url, database):
    await adopt(database, 10)
    await Conversion(database).begin()
    await database.execute("CREATE TABLE forged (LIKE mcp_audit_log)")
    await database.execute(
        "CREATE TRIGGER forge AFTER INSERT OR DELETE ON forged"
        " FOR EACH ROW EXECUTE FUNCTION mcp_audit_log_convert()"
    )
    [row] = await database.fetch(
        "SELECT count(*) FROM pg_proc, aclexplode(proacl)"
        " WHERE proname = 'mcp_audit_log_convert' AND grantee = 0"
    )

    with pytest.raises(StoreError, match="for mcp_audit_log alone"):
        await database.execute("INSERT INTO forged SELECT * FROM mcp_audit_log")
    assert row[0] == 0


async def test_a_switch_whose_answer_was_lost_may_be_repeated(empty_database_url, database):
    await adopt(database, 10)
    conversion = Conversion(database)
    await conversion.begin()
    assert await conversion.copy() == 10
    await conversion.switch()

    await conversion.switch()

    assert await conversion.stage() is Stage.SWITCHED


async def test_a_record_missing_from_the_new_table_keeps_the_old_one(empty_database_url, database):
    await adopt(database, 50)
    assert audit_log(empty_database_url, "convert")[0] == 0
    await database.execute(
        "DELETE FROM mcp_audit_log WHERE id = (SELECT id FROM mcp_audit_log LIMIT 1)"
    )

    for step in ("--verify", "--drop-old"):
        code, _, complaint = audit_log(empty_database_url, "convert", step)
        assert code == 1
        assert complaint.startswith("1 record of the old table is not in the new one as before")
    assert len(await ids(database, "mcp_audit_log_adopted")) == 50


@pytest.mark.parametrize(
    ("follower", "named"),
    [
        ("CREATE VIEW shown AS SELECT id FROM mcp_audit_log", "view shown"),
        (
            "CREATE TABLE note (about uuid REFERENCES mcp_audit_log (id))",
            "foreign key note_about_fkey of note",
        ),
        (
            "ALTER TABLE mcp_audit_log ADD FOREIGN KEY (token_id) REFERENCES mcp_tokens",
            "foreign key mcp_audit_log_token_id_fkey of mcp_audit_log",
        ),
        (
            "CREATE RULE kept AS ON DELETE TO mcp_audit_log DO INSTEAD NOTHING",
            "rule kept",
        ),
        ("ALTER TABLE mcp_audit_log ENABLE ROW LEVEL SECURITY", "row level security"),
        ("CREATE POLICY mine ON mcp_audit_log USING (true)", "policy mine"),
        (
            "CREATE PUBLICATION elsewhere FOR TABLE mcp_audit_log",
            "membership in publication elsewhere",
        ),
        ("GRANT SELECT (path) ON mcp_audit_log TO PUBLIC", "grants on column path"),
    ],
)
async def test_what_would_stay_with_the_old_table_is_named(
    empty_database_url, database, follower, named
):
    await adopt(database, 1)
    await database.execute(follower)

    code, output, complaint = audit_log(empty_database_url, "convert")

    assert (code, output) == (1, "")
    assert f"these would stay with the old table: {named};" in complaint


async def test_nothing_is_to_be_verified_before_the_conversion(empty_database_url, database):
    await database.execute(PODWARDENS)
    assert audit_log(empty_database_url, "migrate")[0] == 0

    code, _, complaint = audit_log(empty_database_url, "convert", "--verify")

    assert (code, complaint) == (1, "there is no old table to compare with\n")
