"""`python -m deploy.local`, which is `make run`, as its user meets it."""

import asyncio
import fcntl
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.neighbours import program
from tests.neighbours.local_run import (
    ANY_PORTS,
    START_SECONDS,
    Run,
    environment_of,
    local_run,
    place_of_runs,
    typed,
)
from tests.neighbours.program import CHECKOUT

ENTRY_SECONDS = 10


@pytest.fixture
def place() -> Iterator[Path]:
    with place_of_runs() as directory:
        yield directory


def beside_the_seal(said: str) -> str:
    """Return what was *said* but for what a first start says of its key and its anchor."""
    lines = said.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("proxy | seal."))


async def typed_until_there(line: str, path: str, times: int = 1) -> list[dict[str, Any]]:
    """Type *line* until its response has *times* entries with *path*."""
    async with asyncio.timeout(ENTRY_SECONDS):
        while True:
            entries = await typed(line)
            if [entry["path"] for entry in entries].count(path) >= times:
                return list(entries)
            await asyncio.sleep(0.02)  # nothing outside the database tells of an entry


def child_of(pid: int, module: str) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    [found] = [
        int(child)
        for child in children
        if Path(f"/proc/{child}/cmdline").read_text().split("\0")[-2] == module
    ]
    return found


async def verified_then_altered(run: Run) -> None:
    """Type what the guide says of the seal."""
    begin = next(at for at, line in enumerate(run.printed) if line.startswith("DB="))
    database, policy, verify, *alter, again = run.printed[begin : begin + 6]
    assert verify == again

    async def said(*lines: str) -> tuple[int | None, str]:
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-c", "\n".join([database, *lines])),
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await shell.communicate()
        return shell.returncode, out.decode()

    assert (await said(policy)) == (0, "")
    async with asyncio.timeout(60):
        while (verdict := await said(verify))[0] != 0:
            await asyncio.sleep(0.2)  # nothing tells of the checkpoint that is anchored last
    assert (await said(*alter)) == (0, "UPDATE 1\n")
    status, told = await said(again)
    assert (status, "altered" in told) == (1, True), (verdict, told)
    assert "entries are not sealed" in verdict[1]  # those of the sample day


async def ended_by_a_dead_service(run: Run, log: Path) -> None:
    """Kill the sidecar; the run ends with one line."""
    os.kill(child_of(run.process.pid, "proxy"), signal.SIGKILL)
    complaint = beside_the_seal(await run.complaint())
    assert complaint == f"make run: proxy ended with exit code -9; see {log}\n"
    assert await run.process.wait() == 1


async def test_the_four_lines_work_as_typed_and_a_later_run_goes_on_though_this_one_was_killed(
    place,
):
    async with local_run(place, **ANY_PORTS) as first:
        await first.ready()
        call, newest, of_token, tool_call = first.curls

        assert [cluster["id"] for cluster in await typed(call)] == ["edge", "core"]
        await typed_until_there(newest, "/api/v1/clusters")
        [entry] = await typed_until_there(of_token, "/api/v1/clusters")
        assert (entry["token_name"], entry["status_code"]) == ("demo-viewer", 200)
        assert (await typed(tool_call))["result"]["isError"] is False
        await typed_until_there(of_token, "/api/v1/clusters", times=2)
        assert list(first.tokens) == ["viewer", "operator", "admin"]
        assert (place / "data" / "demo_tokens.json").stat().st_mode & 0o777 == 0o600
        first.process.kill()
        await first.process.wait()

    # The anchor that it has anyway, which takes a checkpoint each 10 s.
    often = {"PROXY_SEAL_ANCHORS": f"{(place / 'data/journal/anchors').as_uri()}#every=0.2"}
    async with local_run(place, "--sample", "day", **ANY_PORTS, **often) as second:
        await second.ready()

        assert any(line.startswith("A sample day was made up: ") for line in second.printed)
        assert second.tokens == first.tokens
        # Two as before, and one by a tool of the sample's real calls.
        assert entry in await typed_until_there(second.curls[2], "/api/v1/clusters", times=3)

        await verified_then_altered(second)

        await ended_by_a_dead_service(second, place / "data" / "logs" / "proxy.log")


async def test_a_given_upstream_and_database_are_used_instead_of_own_ones(
    place, upstream, database_url
):
    given = {"PROXY_UPSTREAM_URL": upstream.url, "AUDIT_LOG_DATABASE_URL": database_url}
    async with local_run(place, **ANY_PORTS, **given) as run:
        await run.ready()

        assert f"  upstream    {upstream.url}" in run.printed
        assert [line for line in run.printed if "AUDIT_LOG_DATABASE_URL names" in line]
        assert not (place / "data" / "postgres").exists()
        assert not (place / "data" / "logs" / "demo.log").exists()
        code, said = await run.stop(signal.SIGINT)
        assert (code, beside_the_seal(said)) == (0, "")


async def refused(directory: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Start a run that cannot be; return its exit code and what it says on standard error."""
    code, output, complaint = await asyncio.to_thread(
        program.run,
        "deploy.local",
        *arguments,
        directory=directory,
        environment=environment_of(directory, environment),
        seconds=START_SECONDS,
    )
    assert output == ""
    return code, complaint


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--colour"], "unrecognized arguments: --colour"),
        (["day"], "unrecognized arguments: day"),
        (["--sample", "year"], "argument --sample: invalid choice: 'year' (choose from "),
        (["--sample"], "argument --sample: expected one argument"),
    ],
)
async def test_an_argument_that_there_is_not_is_told_in_one_line(place, arguments, told):
    code, complaint = await refused(place, *arguments)

    assert complaint.startswith(f"make run: {told}")
    assert complaint.endswith("; see python -m deploy.local --help\n")
    assert complaint.count("\n") == 1
    assert code == 2
    assert not (place / "data").exists()


async def test_help_says_what_it_runs_and_starts_nothing(place):
    code, output, complaint = await asyncio.to_thread(
        program.run,
        *("deploy.local", "--help"),
        directory=place,
        environment=environment_of(place, {}),
        seconds=START_SECONDS,
    )

    assert (code, complaint) == (0, "")
    assert output.startswith("usage: python -m deploy.local [-h] [--sample {day}]\n")
    assert not (place / "data").exists()


@pytest.mark.parametrize("variable", ["AUDIT_LOG_DATABASE_URL", "PROXY_UPSTREAM_URL"])
async def test_no_made_up_calls_stand_beside_those_of_a_real_podwarden(place, variable):
    code, complaint = await refused(place, "--sample", "day", **{variable: "x"})

    assert complaint == f"make run: a sample is for the demo alone: unset {variable}\n"
    assert code == 1


@pytest.mark.parametrize("variable", ["PROXY_PORT", "PROXY_OPS_PORT", "AUDIT_API_PORT"])
async def test_a_taken_port_is_told_in_one_line_before_anything_starts(place, variable):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, complaint = await refused(place, **ANY_PORTS | {variable: port})

    assert complaint == (
        f"make run: port {port} on 127.0.0.1 is taken; choose another with {variable}\n"
    )
    assert code == 1
    assert not (place / "data" / "postgres").exists()


async def test_a_file_in_place_of_the_data_directory_is_told_in_one_line(place):
    (place / "data").write_text("")
    code, complaint = await refused(place, **ANY_PORTS)

    assert complaint == (
        f"make run: the data directory {place}/data cannot be written: File exists\n"
    )
    assert code == 1


async def test_a_place_where_nothing_can_be_written_is_told_in_one_line():
    # Nobody can make a directory there, root neither.
    code, complaint = await refused(Path("/proc"), **ANY_PORTS)

    assert complaint.startswith("make run: the data directory /proc/data cannot be written: ")
    assert complaint.count("\n") == 1
    assert code == 1


async def test_a_second_run_beside_the_first_is_told_in_one_line(place):
    (place / "data").mkdir()
    with (place / "data" / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, complaint = await refused(place, **ANY_PORTS)

    assert complaint == f"make run: another run is using the data directory {place}/data\n"
    assert code == 1


async def test_a_wrong_setting_is_told_by_its_name(place):
    code, complaint = await refused(place, **ANY_PORTS | {"PROXY_PORT": "eighty"})

    assert complaint.startswith("PROXY_PORT: ")
    assert complaint.count("\n") == 1
    assert code == 78


async def test_a_database_out_of_reach_is_told_in_one_line(place):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"postgresql://someone:secret@127.0.0.1:{nobody.getsockname()[1]}/audit"
        code, complaint = await refused(place, **ANY_PORTS, AUDIT_LOG_DATABASE_URL=url)

    assert complaint.startswith("make run: the database of the audit log: ")
    assert complaint.endswith(
        "AUDIT_LOG_DATABASE_URL of this shell names it: unset it for one of its own)\n"
    )
    assert complaint.count("\n") == 1
    assert "secret" not in complaint
    assert code == 1
