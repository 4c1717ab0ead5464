"""Records that the store refuses for good: quarantined, counted, and in nobody's way."""

import json

import pytest

from audit_log.postgres.database import open_database
from audit_log.schema.migrate import migrate
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, due_status, responding_by_path
from tests.neighbours.ops import degraded, metric_becomes, records, recovered

CALLS = 300
POISON = 117

CHECK = "ALTER TABLE mcp_audit_log ADD CHECK (path NOT LIKE '%/117/%')"
TRIGGER = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.path LIKE '%/117/%' THEN
        RAISE EXCEPTION 'nobody may know of %', NEW.path;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON mcp_audit_log FOR EACH ROW EXECUTE FUNCTION refuse()
"""

ODD_STATE = TRIGGER.replace("NEW.path;", "NEW.path USING ERRCODE = 'PW001';")
WARNING = TRIGGER.replace("NEW.path;", "NEW.path USING ERRCODE = '01000';")


async def each_but_one_arrives(callers, database, sidecar, home, poison):
    entries = await arrived(database, len(callers.sent) - 1)
    assert [entry.path for entry in entries] == [p for p in callers.sent if p != poison]
    assert all(entry.tells_the_truth for entry in entries)
    await metric_becomes(sidecar, 1, "records_total", fate="quarantined")
    await metric_becomes(sidecar, len(entries), "records_total", fate="written")
    assert await records(sidecar, "lost") == 0
    await degraded(sidecar, "records were quarantined")
    [line] = (home.journal / "set_aside" / "records.ndjson").read_text().splitlines()
    kept = json.loads(line)
    assert kept["record"]["path"] == poison
    assert kept["record"]["status_code"] == due_status(poison)
    assert kept["record"]["token_name"] == "laptop"
    return kept["reason"]


@pytest.mark.parametrize(
    ("rule", "reason"), [(CHECK, "check constraint"), (TRIGGER, "nobody may know of")],
    ids=["check", "trigger"],
)  # fmt: skip
async def test_a_rule_of_the_operators_refuses_one_record(
    home, upstream, database, database_url, rule, reason
):
    upstream.plan(responding_by_path)
    callers = Callers(await prepare_audit_log(database))
    await database.execute(rule)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, CALLS)
        said = await each_but_one_arrives(callers, database, sidecar, home, callers.sent[POISON])
    assert reason in said


async def test_a_record_that_waits_apart_is_told_and_written_when_it_can_be(
    home, upstream, database, database_url
):
    upstream.plan(responding_by_path)
    callers = Callers(await prepare_audit_log(database))
    # Nothing follows it: no other record shows by itself whether the store works.
    await database.execute(ODD_STATE.replace("%/117/%", f"%/{CALLS - 1}/%"))
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, CALLS)
        await arrived(database, CALLS - 1)
        await degraded(sidecar, "nobody may know of")
        await database.execute("DROP TRIGGER refuse ON mcp_audit_log")
        await arrived(database, CALLS)
        await recovered(sidecar)
        assert await records(sidecar, "quarantined") == 0


async def test_a_new_column_that_refuses_every_record_quarantines_none(
    home, upstream, database, database_url
):
    upstream.plan(responding_by_path)
    callers = Callers(await prepare_audit_log(database))
    await database.execute("ALTER TABLE mcp_audit_log ADD COLUMN site text NOT NULL")
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 50)
        await degraded(sidecar, "50 wait and fail: null value in column")
        await database.execute("ALTER TABLE mcp_audit_log DROP COLUMN site")
        await arrived(database, 50)
        await recovered(sidecar)
        assert await records(sidecar, "quarantined") == 0


async def test_several_records_in_a_row_that_wait_apart_hold_up_no_other(
    home, upstream, database, database_url
):
    upstream.plan(responding_by_path)
    callers = Callers(await prepare_audit_log(database))
    callers.sent = [""] * 8  # the calls have numbers from 8 on
    await database.execute(ODD_STATE.replace("%/117/%", "%/_/%"))  # 8 and 9
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 20)
        entries = await arrived(database, 18)
        assert [entry.path for entry in entries] == callers.sent[10:]
        assert await records(sidecar, "lost") == 0


async def test_an_adopted_table_with_narrow_columns_takes_a_long_path_all_the_same(
    home, upstream, empty_database_url
):
    upstream.plan(responding_by_path)
    async with open_database(empty_database_url, application="test") as database:
        await database.execute(
            "CREATE TABLE mcp_audit_log (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),"
            " token_name varchar(255) NOT NULL, method varchar(10) NOT NULL,"
            " path varchar(500) NOT NULL, status_code integer NOT NULL,"
            " created_at timestamptz NOT NULL DEFAULT now())"
        )
        await migrate(database)
        callers = Callers(await prepare_audit_log(database))
        callers.padding = 600
        async with home.sidecar(upstream.url, empty_database_url) as sidecar:
            await callers.make(sidecar.port, CALLS)
            assert await arrived(database, CALLS)
