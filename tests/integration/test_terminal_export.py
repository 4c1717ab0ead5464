"""`podwarden-audit export`: whole, in parts with a mark, and after a kill."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from audit_log.postgres.token_table import TokenTable
from tests.neighbours.audit_api import record, url_of_audit_api
from tests.neighbours.console import console
from tests.neighbours.terminal import running_command

BEGAN = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)


def some(count):
    return [record(created_at=BEGAN + timedelta(seconds=n)) for n in range(count)]


@pytest.fixture
async def at(database, database_url):
    """The environment that leads to an audit API."""
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    async with url_of_audit_api(database_url) as url:
        yield {"PODWARDEN_AUDIT_URL": url, "PODWARDEN_AUDIT_TOKEN": secret}


def ids_in(text):
    return [json.loads(line)["id"] for line in text.splitlines()]


async def test_an_export_is_a_file_that_is_whole_or_not_there(at, store, tmp_path):
    records = some(1_500)
    await store.append(records)

    piped = await console("export", directory=tmp_path, **at)
    written = await console(
        "export", "--output", "all.csv", "--format=csv", directory=tmp_path, **at
    )
    refused = await console("export", "status=x", "-o", "none.csv", directory=tmp_path, **at)

    assert ids_in(piped.output) == [str(each.id) for each in records]
    assert (written.code, written.output, written.complaints) == (0, "", "")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 1_501
    assert refused.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]


async def test_an_output_that_is_no_regular_file_is_written_to_and_not_replaced(
    at, store, tmp_path
):
    records = some(10)
    await store.append(records)
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)

    done = await console("export", "--output", "pipe", directory=tmp_path, **at)

    assert (done.code, done.complaints) == (0, "")
    assert (tmp_path / "pipe").is_fifo()
    assert ids_in(os.read(reading, 2**16).decode()) == [str(each.id) for each in records]
    os.close(reading)


async def test_a_run_goes_on_where_the_run_before_ended(at, store, tmp_path):
    loop = ("export", "--mark-file", "mark", "--part", "100")
    first = some(250)
    await store.append(first)
    told = await console(*loop, directory=tmp_path, **at)
    later = some(3)  # dated before the others: late
    await store.append(later)
    told_later = await console(*loop, directory=tmp_path, **at)
    told_nothing = await console(*loop, directory=tmp_path, **at)

    assert ids_in(told.output) == [str(each.id) for each in first]
    assert ids_in(told_later.output) == [str(each.id) for each in later]
    assert (told_nothing.code, told_nothing.output) == (0, "")


async def test_titles_of_csv_are_written_once_a_file(at, store, tmp_path):
    loop = ("export", "--format=csv", "--mark-file=mark", "--part=2", "--output=log.csv")
    for _ in range(2):
        await store.append(some(3))
        assert (await console(*loop, directory=tmp_path, **at)).code == 0
    text = (tmp_path / "log.csv").read_text()
    (tmp_path / "log.csv").rename(tmp_path / "log.csv.1")  # as logrotate does
    await store.append(some(1))
    assert (await console(*loop, directory=tmp_path, **at)).code == 0

    assert len(text.splitlines()) == 7
    assert text.count('"created_at"') == 1
    assert (tmp_path / "log.csv").read_text().splitlines()[0] == text.splitlines()[0]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 2


async def test_a_file_has_each_entry_once_whenever_the_export_was_killed(at, store, tmp_path):
    records = some(60)
    await store.append(records)
    loop = ("export", "--mark-file", "mark", "--part", "1", "--output", "log.ndjson")
    file = tmp_path / "log.ndjson"
    for least in (1, 4_000, 10_000):
        async with running_command(*loop, directory=tmp_path, **at) as export:
            async with asyncio.timeout(30):
                while not file.exists() or file.stat().st_size < least:
                    await asyncio.sleep(0.01)  # no event says how far it has come
            assert (await export.end(signal.SIGKILL))[0] == -signal.SIGKILL
    with file.open("ab") as torn:
        torn.write(b'{"id": "torn')  # as if it had been killed in mid-line

    last = await console(*loop, directory=tmp_path, **at)

    assert last.code == 0
    assert last.complaints.startswith("removed ")
    assert ids_in(file.read_text()) == [str(each.id) for each in records]


async def test_only_one_run_goes_on_from_a_mark(at, store, tmp_path):
    await store.append(some(1))
    loop = ("export", "--mark-file", "mark")
    async with running_command(*loop, "--follow", directory=tmp_path, **at) as following:
        [first] = ids_in(await following.line())
        second = await console(*loop, directory=tmp_path, **at)
        [later] = some(1)
        await store.append([later])
        [told] = ids_in(await following.line())
        ended = await following.end(signal.SIGINT)

    assert (second.code, second.complaints) == (75, "another run goes on from mark\n")
    assert (told, first == told) == (str(later.id), False)
    assert ended == (130, "")


@pytest.mark.parametrize("content", ["", "nonsense\n", "\xff\n"])
async def test_a_mark_that_is_none_is_told(at, content, tmp_path):
    (tmp_path / "mark").write_text(content)

    done = await console("export", "--mark-file", "mark", directory=tmp_path, **at)

    assert done.code in {1, 2}
    assert "mark" in done.complaints
    assert done.complaints.count("\n") == 1
