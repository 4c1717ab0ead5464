"""`podwarden-audit tail`: what arrives, through outages, kills and pipes that close."""

import json
import os
import pty
import select
import signal
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from msgspec.structs import replace

from audit_log.postgres.token_table import TokenTable
from audit_log.record import ToolOutcome
from tests.neighbours.audit_api import record, url_of_audit_api
from tests.neighbours.console import console
from tests.neighbours.hop import hop_to
from tests.neighbours.patience import eventually
from tests.neighbours.records import a_tool_call
from tests.neighbours.services import refusing_port
from tests.neighbours.terminal import running_command

BEGAN = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)


@pytest.fixture
async def audit_api(database_url):
    """The URL of an audit API."""
    async with url_of_audit_api(database_url) as url:
        yield url


@pytest.fixture
async def hop(audit_api):
    """A way to the audit API that can be cut."""
    async with hop_to(audit_api) as hop:
        yield hop


@pytest.fixture
async def at(database, hop):
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    return {
        "PODWARDEN_AUDIT_URL": f"http://127.0.0.1:{hop.port}",
        "PODWARDEN_AUDIT_TOKEN": secret,
    }


def id_in(line):
    return json.loads(line)["id"]


async def test_the_newest_entries_are_shown_oldest_first(at, store, tmp_path):
    records = [record(created_at=BEGAN + timedelta(seconds=n)) for n in range(12)]
    await store.append(records)

    ten = await console("tail", "--json", directory=tmp_path, **at)
    two = await console("tail", "-n", "2", directory=tmp_path, **at)

    assert [id_in(line) for line in ten.lines] == [str(each.id) for each in records[2:]]
    assert [line.split()[-1] for line in two.lines] == [
        "ID",
        *(str(each.id) for each in records[10:]),
    ]


async def test_what_arrives_is_shown_once_also_after_an_outage(
    at, hop, audit_api, store, tmp_path
):
    first, second, third = record(), record(method="PUT"), record()
    await store.append([first])
    follow = ("tail", "--follow", "--json", "--mark-file", "mark")
    async with running_command(*follow, directory=tmp_path, **at) as tail:
        assert id_in(await tail.line()) == str(first.id)
        await store.append([second])
        assert id_in(await tail.line()) == str(second.id)
        with refusing_port() as nobody:
            hop.lead_to(f"http://127.0.0.1:{nobody}")
            assert (await tail.remark()).endswith("; going on when it is back")
            await store.append([third])
        hop.lead_to(audit_api)
        assert id_in(await tail.line()) == str(third.id)
        assert await tail.remark() == "the audit API is back"
        assert await tail.end(signal.SIGINT) == (130, "")

    fourth = record()
    await store.append([fourth])
    async with running_command(*follow, directory=tmp_path, **at) as tail:
        assert id_in(await tail.line()) == str(fourth.id)


async def test_tool_calls_are_followed_and_shown_again_at_their_end(at, store, tmp_path):
    asked = a_tool_call(outcome=ToolOutcome.ASKED)
    await store.append_invocations([asked])
    follow = ("tail", "--follow", "--tool-calls", "--json")
    async with running_command(*follow, directory=tmp_path, **at) as tail:
        first = json.loads(await tail.line())
        await store.append_invocations([replace(asked, outcome=ToolOutcome.OK, rounds=2)])
        second = json.loads(await tail.line())
    exported = await console("export", "--tool-calls", directory=tmp_path, **at)

    assert (first["id"], first["outcome"]) == (str(asked.id), "asked")
    assert (second["id"], second["outcome"]) == (str(asked.id), "ok")
    assert [id_in(line) for line in exported.lines] == [str(asked.id)]


async def test_a_token_that_is_revoked_ends_it(at, hop, database, database_url, tmp_path):
    async with running_command("tail", "-f", directory=tmp_path, **at) as tail:
        assert (await tail.line()).startswith("TIME")
        for token in await TokenTable(database).list():
            await TokenTable(database).revoke(token.id)
        hop.cut()
        remarks = [await tail.remark(), await tail.remark()]

        assert remarks[1] == "Token has been revoked"
        assert await tail.program.wait() == 77


async def test_a_reader_that_has_seen_enough_ends_it_quietly(at, store, tmp_path):
    await store.append([record(path="/" + 1_000 * "a") for _ in range(200)])
    reading, writing = os.pipe()
    os.close(reading)
    for command in ("query", "export", "tail -n 100"):
        async with running_command(
            *command.split(), directory=tmp_path, output=writing, **at
        ) as done:
            assert await done.remark() == ""
            assert await done.program.wait() == 141
    os.close(writing)


@pytest.mark.parametrize("command", ["tail --follow", "export --follow --mark-file mark"])
async def test_one_that_follows_ends_with_its_reader_though_nothing_arrives(at, tmp_path, command):
    reading, writing = os.pipe()
    async with running_command(
        *command.split(), directory=tmp_path, output=writing, **at
    ) as following:
        os.close(writing)
        await eventually(partial(is_waiting, tmp_path, reading))
        os.close(reading)
        assert await following.program.wait() == 141
        assert await following.remark() == ""


async def is_waiting(directory, reading):
    """Say whether the titles have come, or a first mark is kept."""
    return (directory / "mark").exists() or select.select([reading], [], [], 0)[0]


async def test_colours_and_cut_lines_are_for_terminals_that_want_them(at, store, tmp_path):
    await store.append([record(status_code=503, path="/" + 300 * "a")])

    async def shown(**environment):
        ours, theirs = pty.openpty()
        async with running_command(
            "query", directory=tmp_path, output=theirs, **at, **environment
        ) as done:
            os.close(theirs)
            assert await done.program.wait() == 0
        text = os.read(ours, 2**16).decode()
        os.close(ours)
        return text

    coloured = await shown(COLUMNS="200")
    plain = await shown(COLUMNS="160", NO_COLOR="1")
    narrow = await shown(COLUMNS="80", TERM="dumb")

    assert "\x1b[31m503\x1b[0m" in coloured
    assert "503" in plain
    assert "\x1b" not in plain
    assert {len(line) for line in plain.splitlines()[1:]} == {160}
    assert "a…  claude" in plain
    assert narrow.splitlines()[0].split() == ["TIME", "STATUS", "METHOD", "PATH", "TOKEN"]
    assert len(narrow.splitlines()[0]) <= 80
    assert "\x1b" not in narrow


async def test_progress_is_shown_on_a_terminal_beside_the_output(at, store, tmp_path):
    await store.append([record() for _ in range(500)])
    ours, theirs = pty.openpty()
    export = ("export", "--output", "log.ndjson")
    async with running_command(*export, directory=tmp_path, complaints=theirs, **at) as done:
        os.close(theirs)
        assert await done.program.wait() == 0
    shown = os.read(ours, 2**16).decode()
    os.close(ours)

    assert " entries, " in shown
    assert shown.endswith("\r\x1b[K")
    assert len((tmp_path / "log.ndjson").read_text().splitlines()) == 500
