"""`python -m proxy.journal`: for an operator who kept a journal."""

import asyncio
import os

import pytest

from audit_log.postgres.search import RecordQuery
from proxy.journal import open_journal
from tests.neighbours.journal import SMALL, a_record, segments, until
from tests.neighbours.program import run

COUNT = 700


@pytest.fixture
async def kept(tmp_path):
    folder = tmp_path / "journal"
    async with open_journal(
        folder, instance="a", ring_directory=tmp_path / "ring", limits=SMALL
    ) as (intake, _journal):
        for number in range(COUNT):
            named = {"token_name": None, "token_hash": "c" * 64} if number == 5 else {}
            intake.offer(a_record(number, **named))
            await until(lambda: intake.ring_bytes_in_use < 50_000)
    return folder


async def command(*arguments, **environment):
    code, output, complaints = await asyncio.to_thread(
        run,
        "proxy.journal",
        *map(str, arguments),
        environment={**os.environ, **environment},
        seconds=60,
    )
    return code, output + complaints


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


async def test_it_lists_what_there_is(kept):
    code, output = await command("list", kept)
    assert code == 0
    assert all(path.name in output for path in segments(kept))
    assert f"{COUNT} records, 0 missing, 0 bytes damaged" in output


async def test_it_finds_a_damaged_line_and_says_so_with_its_exit_code(kept):
    assert (await command("verify", kept))[0] == 0
    damage(segments(kept)[1])
    code, output = await command("verify", kept)
    assert code == 1
    assert f"{segments(kept)[1].name}" in output
    assert f"{COUNT - 1} records, 1 missing" in output


async def test_it_replays_into_postgresql_as_often_as_one_likes(kept, store, database_url):
    for _ in range(2):
        code, output = await command("replay", kept, "--to", database_url)
        assert (code, output) == (0, f"{COUNT} records written, 0 quarantined\n")
    records = await store.search(RecordQuery(limit=2 * COUNT))
    assert len(records) == COUNT
    assert records[-6].token_name == "Unknown token (cccccccc)"


async def test_replaying_a_damaged_journal_writes_the_rest_and_the_gap(kept, store, database_url):
    damage(segments(kept)[1])
    code, _ = await command("replay", kept, AUDIT_LOG_DATABASE_URL=database_url)
    assert code == 1
    assert len(await store.search(RecordQuery(limit=2 * COUNT))) == COUNT - 1
    assert [gap.count for gap in await store.gaps()] == [1]


async def test_quarantined_records_are_replayed_as_often_as_one_likes(
    kept, store, database_url, database
):
    file = kept / "set_aside" / "records.ndjson"
    code, output = await command("replay", kept, "--quarantined", "--to", database_url)
    assert (code, output) == (0, "0 quarantined records: nothing to write\n")

    await database.execute("ALTER TABLE mcp_audit_log ADD CHECK (path NOT LIKE '%/7')")
    assert (await command("replay", kept, "--to", database_url))[0] == 1
    [line] = file.read_bytes().splitlines()
    arguments = ("replay", kept, "--quarantined", "--to", database_url)
    code, output = await command(*arguments)
    assert code == 1
    assert "0 written, 1 refused again, 0 unreadable" in output
    assert "must be kept: new row" in output

    [check] = await database.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'mcp_audit_log'::regclass"
        " AND pg_get_constraintdef(oid) LIKE '%/7%'"
    )
    await database.execute(f'ALTER TABLE mcp_audit_log DROP CONSTRAINT "{check["conname"]}"')
    for _ in range(2):
        code, output = await command(*arguments)
        assert code == 0
        assert output.startswith("1 written, 0 refused again, 0 unreadable\n")
    assert len(await store.search(RecordQuery(limit=2 * COUNT))) == COUNT
    file.write_bytes(line + b"\n" + line[:50])
    code, output = await command(*arguments)
    assert code == 1
    assert "1 written, 0 refused again, 1 unreadable" in output


async def test_a_database_that_is_away_is_one_readable_line(kept):
    code, output = await command("replay", kept, "--to", "postgresql://127.0.0.1:1/nowhere")
    assert code == 1
    assert "stopped: records wait in the journal" in output
    assert "Traceback" not in output


async def test_a_journal_in_use_and_a_directory_that_is_none_are_one_line_each(tmp_path, kept):
    async with open_journal(kept, instance="a", ring_directory=tmp_path / "ring", limits=SMALL):
        code, output = await command("list", kept)
    assert code == 1
    assert output == f"{kept}: another process keeps its journal here; stop it first\n"
    code, output = await command("list", tmp_path / "nothing")
    assert (code, output) == (1, f"{tmp_path / 'nothing'} is not a directory\n")
    code, output = await command("rings", tmp_path / "nothing")
    assert (code, output) == (1, f"{tmp_path / 'nothing'} is not a directory\n")


async def test_an_unclean_stop_is_pointed_out(kept):
    (kept / "running").write_text("17\n")
    _, output = await command("list", kept)
    assert "did not stop cleanly" in output


async def test_a_segment_that_cannot_be_read_is_pointed_out(kept):
    broken = segments(kept)[1]
    lost = broken.read_bytes().count(b"\n")
    broken.unlink()
    broken.mkdir()
    code, output = await command("verify", kept)
    assert code == 1
    assert "cannot be read" in output
    assert f"{COUNT - lost} records, {lost} missing" in output
