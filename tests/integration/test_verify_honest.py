"""`verify` on real tables: what is no tampering is no alarm, but is said."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from audit_log.cli.convert_command import convert
from audit_log.postgres.database import open_database
from audit_log.postgres.purge import apply_retention, pruning, purging
from audit_log.postgres.store import Store
from audit_log.record import Gap, ToolOutcome, new_record_id, unknown_token_name
from audit_log.retention import Retention
from audit_log.schema.migrate import ensure_partitions
from audit_log.seal.cosignature import cosign
from audit_log.seal.keys import COSIGNATURE, SignerKey
from audit_log.seal.leaf import MISSING, UNSEALED, VOID
from audit_log.seal.places import LINES_PER_TILE
from audit_log.seal.stored import SealNote
from tests.neighbours.adopted import adopt
from tests.neighbours.console import console
from tests.neighbours.fleet import Fleet, Verdict
from tests.neighbours.records import a_record, a_tool_call
from tests.neighbours.seal_attacks import note_what_is_at, remove
from tests.neighbours.sealed_logs import SealedLog, write_anchor, write_policy

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
async def made(database_url, tmp_path, capsys):
    """Return what makes a fleet of logs, which it stores."""
    async with open_database(database_url, application="test") as database:

        async def make(*logs: SealedLog) -> Fleet:
            for log in logs:
                log.checkpoint()
                await log.store(database)
            policy = write_policy(tmp_path / "policy", logs)
            anchor = write_anchor(tmp_path / "anchor", logs)
            return Fleet(database_url, database, logs, policy, anchor, capsys)

        yield make


def of_months(*, days: int = 120, a_day: int = 24) -> SealedLog:
    """Return a log of many days, in which each seventh line is late by up to two days."""
    log = SealedLog(begun=NOW - days * DAY)
    for day in range(days):
        log.now = NOW - (days - day) * DAY
        for line in range(a_day):
            late = timedelta(hours=line * 2) if line % 7 == 3 else timedelta()
            log.entry(created_at=log.now - late)
            log.now += timedelta(minutes=40)
        if day % 3 == 0:
            log.tool_call()
            log.checkpoint()
    log.now = NOW
    for _ in range(3):
        log.entry()
    return log


async def purge(database, days: int) -> None:
    """Let go what is older than *days*, as a sidecar does: whole months, then rows."""
    for month in range(5):
        await ensure_partitions(database, NOW - month * 30 * DAY)
    await apply_retention(database, Retention(days=days))
    async for _ in purging(database, NOW - days * DAY):
        pass


async def prune(database) -> int:
    """Let go what the seal needs no longer; return of how many tiles a path is left."""
    async for _ in pruning(database):
        pass
    rows = await database.fetch("SELECT FROM mcp_audit_seal_tile WHERE length(hashes) = 256")
    return len(rows)


async def test_rows_that_the_retention_let_go_are_no_alarm(made):
    log = of_months()
    fleet = await made(log, SealedLog("sidecar-2"))
    await purge(fleet.database, 45)

    before = await fleet.verify("--kept-days", "45")
    tiles = await prune(fleet.database)
    found = await fleet.verify("--kept-days", "45")
    too_many = await fleet.verify("--kept-days", "60")

    assert tiles > 24 * 70 // 256
    assert (before.status, before.findings) == (0, [])
    assert (found.status, found.findings) == (0, [])
    assert before.remarks["gone_by_retention"] == found.remarks["gone_by_retention"] > 24 * 70
    assert found.of(log)["proved"] == log.size
    assert (too_many.status, too_many.kinds) == (1, {"deleted"})


@pytest.mark.parametrize(
    ("kept", "signed", "said"),
    [
        ({"AUDIT_LOG_RETENTION_DAYS": "45"}, {"retention_days": "45"}, "gone_by_retention"),
        ({"AUDIT_LOG_MAX_BYTES": "1048576"}, {"retention_bytes": "1048576"}, "removed_by_hand"),
    ],
)
async def test_the_command_purge_is_no_alarm(made, tmp_path, kept, signed, said):
    log = of_months()
    log.event("start", signed)
    fleet = await made(log)
    for month in range(5):
        await ensure_partitions(fleet.database, NOW - month * 30 * DAY)
    since = ["--since", str(tmp_path / "since")]
    await fleet.verify(*since)
    done = await console(
        "purge", "--yes", directory=tmp_path, AUDIT_LOG_DATABASE_URL=fleet.url, **kept
    )

    found = await fleet.verify()
    later = await fleet.verify(*since)

    assert "dropped mcp_audit_log_20" in done.output
    assert "rows of mcp_tool_invocation" in done.output
    assert (found.status, found.findings) == (0, [])
    assert found.remarks[said] > 1_000
    assert (later.status, later.findings) == (0, [])
    assert later.of(log)["complete_until"] == found.of(log)["complete_until"]


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE mcp_audit_seal_tile SET hashes = overlay(hashes PLACING 'x' FROM 5)",
        'UPDATE mcp_audit_seal_note SET data = \'["times",1,"AA=="]\' WHERE seq = 255',
        "DELETE FROM mcp_audit_seal_note WHERE seq = 255",
    ],
)
async def test_what_proves_the_age_of_pruned_rows_cannot_be_forged(made, forgery):
    fleet = await made(of_months())
    await purge(fleet.database, 45)
    await prune(fleet.database)
    await fleet.database.execute(forgery)

    found = await fleet.verify("--kept-days", "45")

    assert found.status == 1
    assert found.covers(fleet.logs[0], 100) | found.covers(fleet.logs[0], 255)


async def test_lines_of_a_pruned_tile_cannot_be_said_to_be_unsealed_so_that_rows_get_in(made):
    log = of_months()
    fleet = await made(log)
    await purge(fleet.database, 45)
    await prune(fleet.database)
    store = Store(fleet.database)
    await store.append_sealed([SealNote(log.log, 256, 200, UNSEALED.decode())])
    await store.append([a_record(created_at=NOW - DAY) for _ in range(9)])

    found = await fleet.verify("--kept-days", "45")

    assert (found.status, found.kinds) == (1, {"inserted"})


@pytest.mark.parametrize("options", [["--kept-days", "45"], []])
async def test_a_tile_of_young_lines_cannot_be_pruned_so_that_its_rows_may_say_anything(
    made, options
):
    log = of_months()
    fleet = await made(log)
    await purge(fleet.database, 45)
    [[place]] = await fleet.database.fetch(
        "SELECT max(seq) FROM mcp_audit_log WHERE seq / 256 = (SELECT min(seq) / 256 FROM"
        " mcp_audit_log)"
    )
    genuine = await fleet.verify(*options)
    await pruned(fleet, log, place // 256)
    await fleet.database.execute("UPDATE mcp_audit_log SET method = 'X' WHERE seq = $1", place)

    found = await fleet.verify(*options)

    assert (genuine.status, genuine.findings) == (0, [])
    assert (found.status, found.kinds) == (2, {"not_proved"})
    assert found.covers(log, place)


async def pruned(fleet: Fleet, log: SealedLog, tile: int) -> None:
    """Put the way up from its times leaf in the place of a *tile*, as the retention does."""
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_tile SET hashes = mcp_audit_seal_path(hashes)"
        " WHERE log = $1 AND level = 0 AND number = $2 AND octet_length(hashes) = 8192",
        log.log,
        tile,
    )


async def test_what_an_anchor_has_seen_cannot_be_hidden_in_a_tile_of_another_history(made):
    log = SealedLog()
    log.many(30)
    fleet = await made(log)
    await remove(fleet, log)
    another = SealedLog(log.instance, begun=NOW - 400 * DAY)
    another.take_over(log)
    for _ in range(LINES_PER_TILE - 1):
        another.entry(is_stored=False)
    another.now = NOW - DAY
    another.many(100)
    another.checkpoint()
    await another.store(fleet.database)
    await pruned(fleet, log, 0)

    found = await fleet.verify("--kept-days", "45")

    assert (found.status, found.kinds) == (2, {"not_proved"})
    assert found.covers(log, 29)
    assert found.of(log)["words"] == []


async def test_rows_of_all_tables_together_are_held_against_what_was_unsealed(made):
    log = SealedLog(begun=NOW - DAY)
    log.many(20)
    log.lines(UNSEALED, 10)
    log.many(20)
    fleet = await made(log)
    store = Store(fleet.database)
    made_at = log.now - timedelta(seconds=2)
    await store.append([a_record(created_at=made_at) for _ in range(6)])
    for _ in range(4):
        await store.append_invocations([a_tool_call(created_at=made_at)])
    all_told = await fleet.verify()
    await store.append_invocations([a_tool_call(created_at=made_at)])

    found = await fleet.verify()

    assert (all_told.status, all_told.remarks["while_unsealed"]) == (0, 10)
    assert (found.status, found.kinds) == (1, {"inserted"})


@pytest.mark.parametrize(
    ("made_at", "status"),
    [
        (NOW - DAY - timedelta(hours=1), 0),
        (NOW - DAY + timedelta(hours=1), 1),
        (NOW - 4 * DAY, 1),
    ],
)
async def test_what_was_left_when_a_log_began_was_made_just_before(
    made, tmp_path, made_at, status
):
    old, new = SealedLog(begun=NOW - 10 * DAY), SealedLog(begun=NOW - DAY)
    old.many(20)
    old.now = NOW - 2 * DAY
    old.many(20)
    new.event("start", {"lines_left": "65537"})
    new.now = NOW - timedelta(seconds=30)
    new.event("start", {"lines_left": "65537"})
    new.many(20)
    fleet = await made(old, new)
    since = ["--since", str(tmp_path / "since")]
    before = await fleet.verify(*since)
    await Store(fleet.database).append([a_record(created_at=made_at)])

    for options in ([], since):
        found = await fleet.verify(*options)
        assert (found.status, found.kinds) == (status, {"inserted"} if status else set())
    assert (before.status, before.findings) == (0, [])


async def test_a_row_that_was_deleted_beside_a_dropped_month_is_found(made):
    fleet = await made(of_months())
    await purge(fleet.database, 45)
    # The oldest of those that have to be there: its neighbours in the log are gone.
    [[place]] = await fleet.database.fetch(
        "DELETE FROM mcp_audit_log WHERE id = (SELECT id FROM mcp_audit_log"
        " WHERE created_at > $1 ORDER BY created_at LIMIT 1) RETURNING seq",
        NOW - 44 * DAY,
    )

    found = await fleet.verify("--kept-days", "45")

    assert (found.status, found.kinds) == (1, {"deleted"})
    assert found.covers(fleet.logs[0], place) == {"deleted"}
    [finding] = found.findings
    assert finding["since"] == finding["until"]


async def test_a_deleted_row_whose_time_was_made_old_is_found(made):
    log = of_months()
    fleet = await made(log)
    await purge(fleet.database, 45)
    [[place]] = await fleet.database.fetch(
        "DELETE FROM mcp_audit_log WHERE id = (SELECT id FROM mcp_audit_log"
        " WHERE created_at > $1 ORDER BY created_at LIMIT 1) RETURNING seq",
        NOW - 40 * DAY,
    )
    [[other]] = await fleet.database.fetch(
        "SELECT data FROM mcp_audit_seal_note WHERE log = $1 AND seq = 255", log.log
    )
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_note SET data = $3 WHERE log = $1 AND seq = $2",
        log.log,
        place // 256 * 256 + 255,
        other,
    )

    found = await fleet.verify("--kept-days", "45")

    assert found.status == 1
    assert found.covers(log, place // 256 * 256 + 255) >= {"note_altered"}
    assert found.covers(log, place) <= {"deleted", "age_not_proved"}
    assert found.covers(log, place)


async def test_the_retention_that_the_sidecar_has_signed_says_what_may_be_gone(made):
    log = of_months()
    log.event("settings", {"retention_days": "45"})
    fleet = await made(log)
    await purge(fleet.database, 45)

    found = await fleet.verify()
    strict = await fleet.verify("--kept-days", "60")

    assert (found.status, found.findings) == (0, [])
    assert found.remarks["gone_by_retention"] > 24 * 70
    assert (strict.status, strict.kinds) == (1, {"deleted"})


async def test_the_documented_delete_shows_as_what_it_is(made):
    fleet = await made(of_months(), of_months())
    await fleet.database.execute(
        "DELETE FROM mcp_audit_log WHERE created_at < NOW() - INTERVAL '90 days'"
    )

    found = await fleet.verify()
    strict = await fleet.verify("--kept-days", "100")
    await fleet.database.execute(
        "DELETE FROM mcp_audit_log WHERE log = $1 AND created_at < NOW() - INTERVAL '80 days'",
        fleet.logs[0].log,
    )
    of_one_log = await fleet.verify()

    assert (found.status, found.findings) == (0, [])
    assert 24 * 28 * 2 < found.remarks["removed_by_hand"] < 24 * 34 * 2
    assert (strict.status, strict.kinds) == (1, {"deleted"})
    assert (of_one_log.status, of_one_log.kinds) == (1, {"deleted"})


async def test_late_lines_gaps_and_all_kinds_of_leaves_are_no_alarm(made):
    log = SealedLog()
    log.many(300)
    refused = log.quarantine()
    log.quarantine()
    named_later = log.entry(token_name=None, token_hash="ab" * 32, is_stored=False)
    unknown = log.entry(token_name=None, token_hash="cd" * 32)
    asked = log.tool_call(outcome=ToolOutcome.ASKED, status_code=202)
    log.gap(reason="journal_damaged", count=20)
    log.lines(MISSING, 19)
    log.lines(VOID, 700)
    log.lines(UNSEALED, 10)
    log.tool_call(id=asked.id, created_at=asked.created_at, rounds=2)
    log.tool_call(outcome=ToolOutcome.WORKING, status_code=202)
    log.many(300)
    fleet = await made(log)
    store = Store(fleet.database)
    named = msgspec.structs.replace(named_later, token_name="laptop", token_hash=None)
    await store.append([named, refused])
    await store.append([a_record(created_at=log.now - timedelta(seconds=30))])
    await store.append([a_record(created_at=NOW - DAY)])

    found = await fleet.verify()

    assert (found.status, found.findings) == (0, [])
    assert found.remarks == {
        "named_later": 1,
        "interim": 1,
        "quarantined": 2,
        "written_later": 1,
        "missing_lines": 19,
        "void": 700,
        "unsealed": 10,
        "while_unsealed": 1,
        "before_the_seal": 1,
    }
    rows = await fleet.database.fetch(
        "SELECT token_name FROM mcp_audit_log WHERE seq = $1", unknown.seq
    )
    assert rows[0][0] == unknown_token_name("cd" * 32)


async def test_a_row_at_a_void_place_is_said_if_it_was_made_when_its_neighbours_were(made):
    log = SealedLog()
    log.many(30)
    before = log.now
    place = log.size
    log.lines(VOID, 400)
    log.gap(reason="head_lost", count=None)
    log.many(30)
    fleet = await made(log)
    store = Store(fleet.database)
    inside = {"instance": log.instance, "log": log.log}
    await store.append([a_record(**inside, created_at=before, seq=place + 1)])

    said = await fleet.verify()
    await store.append([a_record(**inside, created_at=log.now + DAY, seq=place + 2)])
    found = await fleet.verify()

    assert (said.status, said.remarks["not_sealed_there"]) == (0, 1)
    assert (found.status, found.covers(log, place + 2)) == (1, {"inserted"})


async def test_a_row_cannot_be_put_to_a_void_place_and_altered_there(made):
    log = SealedLog()
    moved = log.entry()
    log.many(30)
    place = log.size
    log.lines(VOID, 400)
    log.many(30)
    fleet = await made(log)
    await note_what_is_at(fleet, log, moved.seq or 0)
    noted = await fleet.verify()
    await fleet.database.execute(
        "UPDATE mcp_audit_log SET seq = $2, method = 'PUT' WHERE id = $1", moved.id, place + 1
    )

    found = await fleet.verify()

    assert (noted.status, noted.findings) == (0, [])
    assert (found.status, found.kinds) == (1, {"deleted"})
    assert found.covers(log, moved.seq or 0)


async def test_an_unfinished_tool_call_does_not_end_at_a_void_place_of_another_log(made):
    log, other = SealedLog(), SealedLog()
    ended, waits = (log.tool_call(outcome=ToolOutcome.WORKING) for _ in range(2))
    log.many(20)
    end = other.tool_call(id=ended.id, created_at=ended.created_at, rounds=2)
    place = other.size
    other.lines(VOID, 10)
    other.many(20)
    fleet = await made(log, other)
    honest = await fleet.verify()
    await fleet.database.execute(
        "UPDATE mcp_tool_invocation SET log = $2, seq = $3, outcome = 'ok' WHERE id = $1",
        waits.id,
        other.log,
        place,
    )

    found = await fleet.verify()

    assert (honest.status, honest.findings, honest.remarks["interim"]) == (0, [], 1)
    assert end.log == other.log
    assert (found.status, found.kinds) == (1, {"deleted"})
    assert found.covers(log, waits.seq or 0)


async def test_a_gap_that_no_line_reports_is_told_unless_the_recorder_makes_it(made):
    log = SealedLog()
    log.many(30)
    fleet = await made(log)
    gap = Gap(
        id=new_record_id(),
        started_at=log.now - timedelta(seconds=1),
        ended_at=log.now - timedelta(seconds=1),
        count=1,
        reason="record_refused",
        instance=log.instance,
    )
    store = Store(fleet.database)
    await store.append_gaps([gap])
    said = await fleet.verify()
    forged = msgspec.structs.replace(gap, id=new_record_id(), reason="journal_full")
    await store.append_gaps([forged])
    found = await fleet.verify()

    assert (said.status, said.findings) == (0, [])
    assert (found.status, found.kinds) == (1, {"inserted"})


async def test_a_refused_row_that_is_replayed_with_a_name_is_no_alarm_until_it_is_altered(made):
    log = SealedLog()
    log.many(30)
    unnamed = a_record(
        token_name=None,
        token_hash="ab" * 32,
        created_at=log.now,
        instance=log.instance,
        log=log.log,
        seq=log.size,
    )
    place = log.size
    log.note_refused(unnamed)
    log.quarantine(unnamed)
    log.many(30)
    fleet = await made(log)
    refused = await fleet.verify()
    named = msgspec.structs.replace(unnamed, token_name="laptop", token_hash=None)
    await Store(fleet.database).append([named])
    replayed = await fleet.verify()
    await fleet.database.execute("UPDATE mcp_audit_log SET path = '/x' WHERE seq = $1", place)
    altered = await fleet.verify()

    assert (refused.status, refused.remarks) == (0, {"quarantined": 1})
    assert (replayed.status, replayed.findings) == (0, [])
    assert replayed.remarks == {"quarantined": 1, "written_later": 1}
    assert (altered.status, altered.covers(log, place)) == (1, {"altered"})


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE mcp_audit_log SET status_code = 500", "status_code"),
        ("UPDATE mcp_audit_log SET token_name = 'Unknown token (0)'", "token_name"),
    ],
)
async def test_a_row_is_held_against_its_note(made, statement, said):
    log = SealedLog()
    log.many(20)
    later = log.entry(token_name=None, token_hash="ab" * 32, is_stored=False)
    log.many(20)
    fleet = await made(log)
    named = msgspec.structs.replace(later, token_name="laptop", token_hash=None)
    await Store(fleet.database).append([named])
    await fleet.database.execute(f"{statement} WHERE token_name = 'laptop'")

    found = await fleet.verify()

    assert (found.status, found.kinds) == (1, {"altered"})
    assert found.covers(log, later.seq) == {"altered"}
    assert said in found.findings[0]["what"]


async def test_a_noted_row_or_version_that_is_gone_or_put_back_is_found(made):
    log = SealedLog()
    noted = log.entry(token_name=None, token_hash="ab" * 32)
    asked = log.tool_call(outcome=ToolOutcome.ASKED, status_code=202)
    log.tool_call(id=asked.id, created_at=asked.created_at, outcome=ToolOutcome.WORKING, rounds=2)
    waits = log.tool_call(outcome=ToolOutcome.ASKED, status_code=202)
    log.many(20)
    fleet = await made(log)
    await fleet.database.execute("DELETE FROM mcp_audit_log WHERE seq = $1", noted.seq)
    await fleet.database.execute("DELETE FROM mcp_tool_invocation WHERE id = $1", waits.id)
    await fleet.database.execute(
        "UPDATE mcp_tool_invocation SET seq = $2, outcome = 'asked', status_code = 202, rounds = 1"
        " WHERE id = $1",
        asked.id,
        asked.seq,
    )

    found = await fleet.verify()

    assert found.status == 1
    assert found.covers(log, noted.seq) == {"deleted"}
    assert found.covers(log, waits.seq) == {"deleted"}
    assert asked.seq is not None
    assert found.covers(log, asked.seq + 1) == {"altered"}


async def test_an_unfinished_tool_call_cannot_be_put_among_unsealed_rows_and_altered(made):
    log = SealedLog()
    asked, working = log.tool_call(outcome=ToolOutcome.ASKED), log.tool_call()
    waits = log.tool_call(outcome=ToolOutcome.WORKING)
    log.lines(UNSEALED, 5)
    log.many(20)
    fleet = await made(log)
    # The end of a call, stored while the seal was off, is none.
    unsealed = "UPDATE mcp_tool_invocation SET log = NULL, seq = NULL"
    await fleet.database.execute(f"{unsealed}, outcome = 'ok' WHERE id = $1", asked.id)
    honest = await fleet.verify()
    await fleet.database.execute(f"{unsealed}, status_code = 418 WHERE id = $1", waits.id)

    found = await fleet.verify()

    assert (honest.status, honest.findings, honest.remarks["interim"]) == (0, [], 1)
    assert (found.status, found.kinds) == (1, {"deleted"})
    assert found.covers(log, waits.seq or 0)
    assert not found.covers(log, working.seq or 0)


async def test_the_newest_rows_that_no_checkpoint_covers_yet_are_said(made):
    log = SealedLog()
    log.many(300)
    fleet = await made(log)
    log.now = datetime.now(UTC)
    log.many(7)
    log.checkpoints.clear()
    await log.store(fleet.database)

    found = await fleet.verify()
    log.checkpoint()
    await log.store(fleet.database)
    then = await fleet.verify()

    assert (found.status, found.remarks) == (0, {"not_signed_yet": 7})
    assert (then.status, then.remarks) == (0, {"not_anchored_yet": 7})


async def test_old_rows_behind_the_newest_checkpoint_cannot_be_told(made):
    log = SealedLog()
    log.many(300)
    fleet = await made(log)
    size = log.size
    log.many(7)
    log.checkpoints.clear()
    await log.store(fleet.database)

    found = await fleet.verify()

    assert (found.status, found.kinds) == (2, {"not_proved"})
    assert found.covers(log, size) == {"not_proved"}


async def test_rows_without_a_place_behind_the_end_of_a_log_cannot_be_told(made):
    log = SealedLog()
    log.many(30)
    fleet = await made(log)
    await Store(fleet.database).append([a_record(instance=log.instance, created_at=NOW)])

    found = await fleet.verify()
    log.now = datetime.now(UTC)
    log.many(1)
    log.checkpoint()
    await log.store(fleet.database)
    then = await fleet.verify()

    assert (found.status, found.kinds) == (2, {"not_proved"})
    assert (then.status, then.kinds) == (1, {"inserted"})


async def test_a_log_that_says_nothing_any_more_is_told_unless_it_stopped(made):
    silent = SealedLog("silent", begun=NOW - DAY)
    stopped = SealedLog("stopped", begun=NOW - DAY)
    for log in (silent, stopped):
        log.many(20)
    stopped.event("stop", {})
    fleet = await made(silent, stopped)
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_checkpoint SET arrived_at = now() - interval '1 day'"
    )
    for file in fleet.anchor.iterdir():
        os.utime(file, (0, (NOW - DAY).timestamp()))

    found = await fleet.verify()
    never = await fleet.verify("--silent-minutes", "0")

    assert (found.status, found.kinds) == (2, {"silent_log"})
    assert found.of(stopped)["findings"] == []
    assert found.remarks["stopped"] == 1
    assert never.status == 0


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_log_that_another_one_of_its_sidecar_follows_is_not_silent(made, is_trusted):
    ended, other = SealedLog(begun=NOW - DAY), SealedLog("sidecar-2", begun=NOW - DAY)
    ended.many(20)
    other.many(20)
    fleet = await made(ended, other)
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_checkpoint SET arrived_at = now() - interval '1 day'"
    )
    for file in fleet.anchor.iterdir():
        os.utime(file, (0, (NOW - DAY).timestamp()))
    follower = SealedLog(begun=datetime.now(UTC) - timedelta(minutes=1))
    follower.many(20)
    follower.checkpoint()
    await follower.store(fleet.database)
    write_policy(fleet.policy, [ended, other, *([follower] if is_trusted else [])])
    write_anchor(fleet.anchor, [follower])

    found = await fleet.verify()

    silent = [one["origin"] for one in found.told["logs"] if one["findings"]]
    if not is_trusted:
        assert (found.status, set(silent)) == (2, {ended.origin, other.origin})
        assert found.kinds == {"silent_log", "unknown_log"}
        return
    assert (found.status, silent) == (2, [other.origin])
    [said] = found.of(ended)["remarks"]
    assert said["kind"] == "followed"
    assert f"its sidecar goes on in {follower.origin}" in said["what"]
    assert "Keep its key in the policy" in said["what"]


async def test_a_log_that_is_followed_stays_so_for_later_runs(made, tmp_path):
    since = ["--since", str(tmp_path / "since")]
    ended = SealedLog(begun=NOW - DAY)
    ended.many(20)
    follower = SealedLog(begun=datetime.now(UTC) - timedelta(minutes=1))
    follower.many(20)
    fleet = await made(ended, follower)
    await fleet.database.execute(
        "UPDATE mcp_audit_seal_checkpoint SET arrived_at = arrived_at - interval '1 day'"
        " WHERE log = $1",
        ended.log,
    )
    os.utime(fleet.anchor / f"{ended.log & 0xFFFFFFFF:08x}", (0, (NOW - DAY).timestamp()))
    await Store(fleet.database).append([a_record(instance=ended.instance, created_at=NOW - DAY)])

    runs = [await fleet.verify(*since) for _ in range(3)]

    assert [run.remarks.get("followed") for run in runs] == [1, 1, 1]
    assert [(run.status, run.kinds) for run in runs] == [(0, set())] * 3


async def test_what_an_anchor_has_seen_is_not_said_to_be_covered_by_none(made):
    log = SealedLog()
    log.many(300)
    fleet = await made(log)
    first = fleet.anchor.joinpath("first")
    first.write_text(str(log.signed()))
    log.many(300)
    log.checkpoint()
    await log.store(fleet.database)
    write_anchor(fleet.anchor, [log])
    log.many(300)
    log.checkpoint()
    await log.store(fleet.database)
    covered = await fleet.verify()
    await fleet.database.execute("DELETE FROM mcp_audit_log WHERE log = $1 AND seq > 580", log.log)
    await fleet.database.execute("DELETE FROM mcp_audit_seal_tile WHERE log = $1", log.log)

    found = await fleet.verify()

    _, out, _ = await fleet.run("--anchor", str(fleet.anchor))
    assert " complete until" not in out
    assert "not as it was sealed; anchored until" in out
    assert covered.remarks["not_anchored_yet"] == 301
    assert (found.status, "not_anchored_yet" in found.remarks) == (1, False)


async def test_an_anchor_that_contradicts_the_log_does_not_vouch_for_it(made):
    log = SealedLog()
    log.many(300)
    fleet = await made(log)
    log.many(50)
    log.checkpoint()
    await log.store(fleet.database)
    forged = SealedLog(log.instance)
    forged.origin, forged.key = log.origin, log.key
    forged.many(320)
    (fleet.anchor / "forged").write_text(str(forged.signed()))

    found = await fleet.verify()

    assert (found.status, found.kinds) == (1, {"forked"})
    words = found.of(log)["words"]
    assert not [word for word in words if "forged" in word]
    assert "not_anchored_yet" not in found.remarks


async def test_leaves_on_their_way_through_nats_are_no_alarm_and_late_ones_are_told(made):
    log = SealedLog(begun=datetime.now(UTC) - timedelta(minutes=1), sink="nats")
    log.many(300)
    fleet = await made(log)
    for _ in range(5):
        log.entry()
    write_anchor(fleet.anchor, [log])

    found = await fleet.verify()

    assert (found.status, found.remarks) == (0, {"not_arrived": 5})
    assert found.of(log)["proved"] == log.size - 5


async def test_a_quorum_of_witnesses_is_asked_for_and_believed(made, tmp_path):
    witness = SignerKey.new("witness.example", COSIGNATURE)
    log = SealedLog()
    log.many(30)
    fleet = await made(log)
    write_policy(fleet.policy, [log], f"witness w {witness.verifier}", quorum="w")
    alone = await fleet.verify()
    line = cosign(log.signed(), witness, int(NOW.timestamp()))
    await fleet.database.execute(
        "INSERT INTO mcp_audit_seal_anchor (log, size, anchor, receipt, anchored_at)"
        " VALUES ($1, $2, 'w', $3, now())",
        log.log,
        log.size,
        str(line),
    )

    status, out, _ = await fleet.run()
    found = await fleet.verify()

    assert (alone.status, alone.kinds) == (2, {"not_witnessed"})
    assert (status, found.status) == (0, 0)
    assert f"witness witness.example at {log.size}" in out


async def test_a_changed_key_is_believed_from_the_leaf_on_that_the_old_one_signed(made):
    log = SealedLog()
    log.many(300)
    new = SignerKey.new(log.origin)
    log.event("start", {"following_key": str(new.verifier)})
    log.checkpoint()
    old, log.key = log.key, new
    log.many(50)
    fleet = await made(log)
    log.key = old
    write_policy(fleet.policy, [log])

    found = await fleet.verify()

    assert (found.status, found.findings) == (0, [])
    assert found.of(log)["proved"] == log.size


async def test_a_later_run_knows_the_key_that_the_old_one_signed(made, tmp_path):
    log = SealedLog()
    fleet = await made(log)
    new = SignerKey.new(log.origin)
    log.event("start", {"following_key": str(new.verifier)})
    log.many(30)
    log.checkpoint()
    log.key = new
    statuses = []
    for _ in range(3):
        log.event("start", {})
        log.many(300)
        log.checkpoint()
        await log.store(fleet.database)
        write_anchor(fleet.anchor, [log])
        found = await fleet.verify("--since", str(tmp_path / "state"))
        statuses.append((found.status, found.of(log)["proved"] == log.size))

    assert statuses == [(0, True)] * 3


@pytest.mark.parametrize("change", [{"note": "no note"}, {"keys": ["no key"]}, {"open": "A"}])
async def test_a_damaged_file_of_since_is_said_in_one_line(made, tmp_path, change):
    log = SealedLog()
    fleet = await made(log)
    state = tmp_path / "state"
    await fleet.verify("--since", str(state))
    told = json.loads(state.read_text())
    told["logs"][log.origin] |= change
    state.write_text(json.dumps(told))

    status, out, err = await fleet.run("--anchor", str(fleet.anchor), "--since", str(state))

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"{state} is no file of `verify --since`" in err


async def test_a_key_that_was_given_up_signs_no_more(made):
    log = SealedLog()
    log.many(30)
    fleet = await made(log)
    old, new = log.key, SignerKey.new(log.origin)
    log.event("start", {"following_key": str(new.verifier)})
    log.checkpoint(old, new)
    log.key = new
    log.event("start", {})
    log.checkpoint()
    genuine = await stored_and_verified(fleet, log)
    log.many(10)
    log.key = old
    log.checkpoint()

    found = await stored_and_verified(fleet, log)

    assert (genuine.status, genuine.findings) == (0, [])
    assert (found.status, found.kinds) == (1, {"checkpoint_of_another_key"})


async def stored_and_verified(fleet: Fleet, log: SealedLog) -> Verdict:
    await log.store(fleet.database)
    write_anchor(fleet.anchor, [log])
    return await fleet.verify()


async def test_a_later_run_reads_only_what_is_new(made, tmp_path):
    log, other = SealedLog("one"), SealedLog("two")
    for one in (log, other):
        one.many(400)
    fleet = await made(log, other)
    since = ["--since", str(tmp_path / "state")]
    first = await fleet.verify(*since)
    again = await fleet.verify(*since)
    log.many(100)
    log.checkpoint()
    await log.store(fleet.database)
    write_anchor(fleet.anchor, [log, other])
    new = await fleet.verify(*since)
    await fleet.database.execute("UPDATE mcp_audit_log SET method = 'X' WHERE log = $1", log.log)
    unseen = await fleet.verify(*since)
    log.many(5)
    log.checkpoint()
    await log.store(fleet.database)
    deleted = await fleet.database.fetch(
        "DELETE FROM mcp_audit_log WHERE seq = (SELECT max(seq) FROM mcp_audit_log WHERE log = $1)"
        " AND log = $1 RETURNING seq",
        log.log,
    )
    found = [await fleet.verify(*since) for _ in range(2)]

    statuses = [run.status for run in (first, again, new, unseen, *found)]
    assert statuses == [0, 0, 0, 0, 1, 1]
    assert [run.of(log)["rows"] for run in (first, again, new)] == [400, 0, 100]
    assert all(run.covers(log, deleted[0][0]) for run in found)
    assert (await fleet.verify()).covers(log, 1) == {"altered"}


async def test_a_later_run_misses_what_an_older_backup_has_not(made, tmp_path):
    log = SealedLog()
    log.many(400)
    fleet = await made(log)
    since = ["--since", str(tmp_path / "state")]
    await fleet.verify(*since)
    for name in ("mcp_audit_log", "mcp_tool_invocation", "mcp_audit_gap", "mcp_audit_seal_note"):
        await fleet.database.execute(f"DELETE FROM {name} WHERE seq >= 350")
    await fleet.database.execute("DELETE FROM mcp_audit_seal_checkpoint WHERE size > 350")
    fleet.anchor.joinpath(next(fleet.anchor.iterdir()).name).unlink()
    (fleet.anchor / "old").write_text(fleet.policy.read_text())

    status, out, err = await fleet.run(*since)

    assert status == 1, out + err
    assert "rolled back" in out


async def test_a_conversion_of_an_adopted_table_keeps_the_seal(
    empty_database_url, tmp_path, capsys
):
    async with open_database(empty_database_url, application="test") as database:
        await adopt(database, 300)
        log = SealedLog(begun=datetime.now(UTC) - timedelta(minutes=1))
        log.many(600)
        log.checkpoint()
        await log.store(database)
        policy = write_policy(tmp_path / "policy", [log])
        anchor = write_anchor(tmp_path / "anchor", [log])
        fleet = Fleet(empty_database_url, database, [log], policy, anchor, capsys)
        before = await fleet.verify()
        await convert(database)

        after = await fleet.verify()

    assert (before.status, after.status) == (0, 0), after.findings
    assert before.remarks == after.remarks
    assert after.remarks["not_sealed"] == 300


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--policy", "missing"], 2, "cannot be read: No such file"),
        (["--policy", "empty"], 2, "no quorum line"),
        (["--policy", "odd"], 2, "line 1 of the policy"),
        (["--anchor", "missing"], 2, "cannot be read: No such file"),
        (["--anchor", "empty"], 2, "holds no checkpoint"),
        (["--anchor", "s3://bucket/key"], 2, "a file, a folder or an http(s) URL"),
        (["--anchor", "http://127.0.0.1:9/x"], 2, "cannot be read: "),
        (["--since", "odd"], 2, "remove it"),
        (["--database-url", "mysql://x"], 2, "is not a postgresql:// URL"),
        (["--database-url", "postgresql://x@127.0.0.1:9/x"], 2, "PostgreSQL cannot be read now"),
    ],
)
async def test_what_cannot_be_done_is_said_in_one_line(
    made, tmp_path, monkeypatch, arguments, status, message
):
    fleet = await made(SealedLog())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("")
    (tmp_path / "odd").write_text("what is this\n")

    found, out, err = await fleet.run(*arguments)

    assert (found, out) == (status, "")
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


async def test_a_report_is_told_and_counts_though_the_file_of_since_cannot_be_written(
    made, tmp_path
):
    log = SealedLog()
    log.many(20)
    fleet = await made(log)
    options = ["--anchor", str(fleet.anchor), "--since", str(tmp_path / "none" / "state")]
    genuine, told, said = await fleet.run(*options)
    await fleet.database.execute("UPDATE mcp_audit_log SET method = 'X' WHERE seq = 7")

    status, out, err = await fleet.run(*options)

    assert (genuine, status) == (2, 1)
    assert "genuine and complete" in told
    assert "TAMPERED" in out
    assert said == err == f"{options[-1]} cannot be written: No such file or directory\n"


async def test_a_report_that_cannot_be_written_is_no_genuine_log(made):
    fleet = await made(SealedLog())
    given = ["--policy", str(fleet.policy), "--anchor", str(fleet.anchor)]
    full = os.open("/dev/full", os.O_WRONLY)
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.console", "verify", *given, "--database-url", fleet.url),
        stdout=full,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(full)
    _, complaints = await done.communicate()

    assert complaints == b"The report cannot be written: No space left on device\n"
    assert done.returncode == 2


async def test_a_database_without_the_seal_is_said_in_one_line(
    empty_database_url, database, tmp_path, capsys
):
    policy = write_policy(tmp_path / "policy", [SealedLog()])
    fleet = Fleet(empty_database_url, database, [], policy, tmp_path, capsys)

    status, out, err = await fleet.run()

    assert (status, out) == (2, "")
    assert err.count("\n") == 1
