"""What operators do honestly to real sidecars and their database, and what `verify` says then."""

import asyncio
import os
import shutil
from contextlib import suppress
from signal import SIGKILL
from time import monotonic

import pytest

from audit_log.postgres.database import open_database
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import nobody_let_in
from tests.neighbours.console import console
from tests.neighbours.fleet import Fleet
from tests.neighbours.hop import hop_to
from tests.neighbours.journal_files import empty
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.neighbours.postgres import fresh_database
from tests.neighbours.postgres_programs import run_program
from tests.neighbours.processes import all_of


@pytest.fixture
def fleet(database, database_url, tmp_path, capsys):
    return Fleet(database_url, database, [], tmp_path / "policy", tmp_path / "anchor", capsys)


async def test_a_log_goes_on_on_another_host_under_another_name_and_without_its_memory(
    home, upstream, callers, database_url, fleet
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 20)
    empty(home.ring)
    async with home.sidecar(upstream.url, database_url, PROXY_INSTANCE="renamed") as sidecar:
        await callers.make(sidecar.port, 20)
    elsewhere = home.journal.with_name("elsewhere")
    shutil.move(home.journal, elsewhere)
    moved = {"PROXY_JOURNAL_DIR": str(elsewhere)}
    async with home.sidecar(upstream.url, database_url, **moved) as sidecar:
        await callers.make(sidecar.port, 20)
    await fleet.trust()

    found = await fleet.verify("--silent-minutes", "1")

    assert (found.status, found.findings, found.remarks) == (0, [], {})
    [log] = found.told["logs"]
    assert (log["instance"], log["rows"]) == (home.instance, 60)


@pytest.mark.parametrize("lost", ["seal.key", "seal.state"])
async def test_what_waited_when_another_log_began_is_told_and_no_alarm(
    lost, home, upstream, callers, database_url, fleet
):
    async with hop_to(database_url) as hop:
        async with home.sidecar(upstream.url, hop.url) as sidecar:
            await callers.make(sidecar.port, 20)
            await fleet.has_signed(21)
            hop.black_hole()
            hop.cut()
            await callers.make(sidecar.port, 30)
            await sidecar.kill()
        hop.restore()
        (home.journal / lost).unlink()
        if lost == "seal.state":
            empty(home.ring)
        async with home.sidecar(upstream.url, hop.url) as sidecar:
            await callers.make(sidecar.port, 20)
    await fleet.trust()

    found = await fleet.verify()

    assert (found.status, found.findings) == (0, [])
    rows = await fleet.database.fetch("SELECT FROM mcp_audit_log WHERE seq IS NULL")
    gaps = await fleet.database.fetch("SELECT FROM mcp_audit_gap WHERE seq IS NULL")
    assert found.remarks["while_unsealed"] == len(rows) + len(gaps) > 0


async def test_a_row_that_was_inserted_beside_what_waited_is_found(
    home, upstream, callers, database_url, fleet
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 5)
        await eventually(lambda: is_over_a_second_old(fleet))
        await sidecar.kill()
    (home.journal / "seal.key").unlink()
    async with home.sidecar(upstream.url, database_url) as sidecar:
        began = monotonic()

        async def calls_go_on() -> bool:
            await callers.make(sidecar.port, 5)
            return monotonic() - began > 3  # what is dated within its first second is older

        await eventually(calls_go_on)
    await fleet.trust()
    await fleet.database.execute(
        "INSERT INTO mcp_audit_log (id, created_at, token_name, method, path, status_code,"
        " instance, outcome) SELECT gen_random_uuid(), created_at, token_name, method, path,"
        " status_code, instance, outcome FROM mcp_audit_log, generate_series(1, 20)"
    )

    found = await fleet.verify()

    assert (found.status, found.kinds) == (1, {"inserted"})


async def is_over_a_second_old(fleet):
    """Say whether the log has begun over a second ago: what is older counts as before the seal."""
    [row] = await fleet.database.fetch(
        "SELECT clock_timestamp() - min(created_at) > interval '1.5 seconds' FROM mcp_audit_log"
    )
    return row[0]


async def test_rows_of_a_time_without_the_seal_stay_no_alarm(
    home, upstream, callers, database_url, fleet, tmp_path
):
    since = ["--since", str(tmp_path / "since")]
    for seal in ("yes", "no", "yes"):
        async with home.sidecar(upstream.url, database_url, PROXY_SEAL=seal) as sidecar:
            await callers.make(sidecar.port, 20)
            await eventually(lambda: is_over_a_second_old(fleet))
    await fleet.trust()
    runs = [await fleet.verify(*since)]
    (home.journal / "seal.key").unlink()
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 20)
    await fleet.trust()
    runs += [await fleet.verify(*since), await fleet.verify(*since), await fleet.verify()]

    assert [(run.status, run.findings) for run in runs] == [(0, [])] * 4
    assert [run.remarks["while_unsealed"] for run in runs] == [20] * 4


async def test_the_log_of_a_killed_worker_that_is_configured_no_more_is_anchored_and_ends(
    home, upstream, callers, database_url, fleet, tmp_path
):
    workers = {"PROXY_WORKERS": "2", "PROXY_PORT": str(free_port())}
    anchors = {"PROXY_SEAL_ANCHORS": (tmp_path / "anchors").as_uri()}
    async with hop_to(database_url) as hop:
        async with home.sidecar(upstream.url, hop.url, **workers, **anchors) as supervisor:
            for _ in range(6):
                await callers.make(int(workers["PROXY_PORT"]), 10)
            await arrived(fleet.database, 60)
            hop.black_hole()
            hop.cut()
            for _ in range(6):
                await callers.make(int(workers["PROXY_PORT"]), 10)
            for pid in reversed(all_of(supervisor)):
                with suppress(ProcessLookupError):
                    os.kill(pid, SIGKILL)
            await supervisor.kill()
        hop.restore()
        async with home.sidecar(upstream.url, hop.url, **anchors) as sidecar:
            await arrived(fleet.database, 120)
            await eventually(lambda: has_drained(sidecar, 2))
        said = [line["event"] for line in sidecar.log]
        async with home.sidecar(upstream.url, hop.url, **anchors) as sidecar:
            await callers.make(sidecar.port, 5)
    await fleet.trust()
    fleet.anchor.unlink()
    shutil.copytree(tmp_path / "anchors", fleet.anchor)
    await quiet(fleet)

    found = await fleet.verify("--silent-minutes", "1")

    assert (found.status, found.findings) == (0, [])
    assert len(found.told["logs"]) == 3
    assert found.remarks.get("not_anchored_yet", 0) == 0
    assert "seal.anchored_beside_the_journal" not in said
    events = await fleet.database.fetch("SELECT data FROM mcp_audit_seal_note WHERE data ~ 'stop'")
    assert len(events) == 4


async def has_drained(sidecar, count):
    drained = [line for line in sidecar.log if line["event"] == "journal.orphaned_drained"]
    return len(drained) == count


async def quiet(fleet):
    """Have checkpoints come long ago, by the word of the database."""
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_checkpoint SET arrived_at = now() - interval '1 day'"
    )


async def test_the_default_anchor_is_warned_of_once(home, upstream, callers, database_url):
    workers = {"PROXY_WORKERS": "2", "PROXY_PORT": str(free_port())}
    async with home.sidecar(upstream.url, database_url, **workers):
        await callers.make(int(workers["PROXY_PORT"]), 10)
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await sidecar.logged("journal.orphaned_drained")

    said = [line["event"] for line in sidecar.log]
    assert said.count("seal.anchored_beside_the_journal") == 1


@pytest.mark.parametrize("is_named", [True, False])
async def test_a_quarantined_record_that_is_replayed_is_genuine_and_may_not_be_altered(
    is_named, home, upstream, callers, database_url, fleet
):
    rule = "ADD CONSTRAINT odd CHECK (path NOT LIKE '%/hosts/7/')"
    await fleet.database.execute(f"ALTER TABLE mcp_audit_log {rule}")
    async with hop_to(database_url) as hop:
        if not is_named:
            hop.black_hole()
        tokens = {"PROXY_TOKEN_DATABASE_URL": hop.url}
        async with home.sidecar(upstream.url, database_url, **tokens) as sidecar:
            await callers.make(sidecar.port, 20)
            hop.restore()
            await arrived(fleet.database, 19)
    await fleet.trust()
    refused = await fleet.verify()
    await fleet.database.execute("ALTER TABLE mcp_audit_log DROP CONSTRAINT odd")
    done = await console(
        *("journal", "replay", "--quarantined", str(home.journal)),
        directory=home.journal.parent,
        AUDIT_LOG_DATABASE_URL=database_url,
    )
    replayed = await fleet.verify()
    _, out, _ = await fleet.run("--anchor", str(fleet.anchor))
    await fleet.database.execute("UPDATE mcp_audit_log SET status_code = 1 WHERE path ~ '/7/'")
    altered = await fleet.verify()

    later = {} if is_named else {"named_later": 19}
    assert (refused.status, refused.remarks) == (0, {"quarantined": 1, **later})
    assert "1 written, 0 refused again" in done.output
    assert replayed.status == 0
    assert replayed.remarks == {"quarantined": 1, "written_later": 1, **later}
    assert "1 record was refused by the store and quarantined" in out
    assert "genuine and complete: 1 log, 20 rows" in out
    assert (altered.status, altered.kinds) == (1, {"altered"})


async def test_an_outage_of_the_database_under_load_is_no_alarm(
    home, upstream, callers, database_url, fleet, postgres
):
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 50)
        await fleet.has_signed(51)
        enough = asyncio.Event()
        load = asyncio.create_task(callers.roam(lambda: sidecar.port, enough))
        async with nobody_let_in(postgres, database_url):
            await eventually(lambda: waits(callers, 500))
        await fleet.has_signed(300)
        enough.set()
        await load
        await fleet.trust()
        running = await fleet.verify()
    await fleet.keep_newest()
    stopped = await fleet.verify()

    assert (running.status, running.findings) == (0, [])
    assert (stopped.status, stopped.findings, stopped.remarks) == (0, [], {})
    assert stopped.told["logs"][0]["rows"] == len(callers.sent)


async def waits(callers, count):
    return len(callers.sent) >= count


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_restored_backup_is_rolled_back_until_the_journal_has_sent_the_rest(
    is_kept, home, upstream, callers, database_url, fleet, postgres, tmp_path, capsys
):
    dump = str(tmp_path / "dump")
    callers.padding = 0 if is_kept else 2_000
    small = {"PROXY_JOURNAL_MAX_BYTES": str(1 << 20), "PROXY_JOURNAL_RING_BYTES": str(1 << 20)}
    settings = {} if is_kept else small
    async with home.sidecar(upstream.url, database_url, **settings) as sidecar:
        await callers.make(sidecar.port, 100)
        await fleet.has_signed(101)
        run_program("pg_dump", "-Fc", "-f", dump, database_url)
        for count in range(200, 900, 100):
            await callers.make(sidecar.port, 100)
            await arrived(fleet.database, count)
    await fleet.trust()
    async with (
        fresh_database(postgres, template="template0") as url,
        open_database(url, application="test") as restored,
    ):
        run_program("pg_restore", "-d", url, dump)
        other = Fleet(url, restored, [], fleet.policy, fleet.anchor, capsys)
        older = await other.verify()
        async with home.sidecar(upstream.url, url, **settings) as sidecar:
            await callers.make(sidecar.port, 10)
            await sidecar.logged("audit.store_replaced")
            await other.has_signed(810)
        await other.keep_newest()
        found = await other.verify()

    assert (older.status, older.kinds) == (1, {"rolled_back"})
    if is_kept:
        assert (found.status, found.findings, found.remarks) == (0, [], {})
        return
    assert found.status == 1
    assert "deleted" in found.kinds
    assert found.remarks == {"gaps_not_sealed": 1}
