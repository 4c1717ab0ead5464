"""Orphaned journals, of workers that are configured no more: the next start writes them."""

import contextlib
import os

from aiohttp import ClientSession

from proxy.delivery.orphaned import orphaned
from proxy.journal import open_journal
from proxy.workers import Place
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.journal import a_record
from tests.neighbours.ops import degraded, recovered
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port


async def leave(home, *names):
    """Leave a journal with 10 records and a call in flight in each directory of these names."""
    for name in names:
        async with open_journal(
            home.journal / name, instance="gone", ring_directory=home.ring
        ) as (intake, _journal):
            for number in range(10):
                intake.offer(a_record(number))
            intake.begin(a_record(10))


def lose_head(journal):
    """Leave *journal* as a sidecar does that is killed together with its machine."""
    (journal / "running").write_text("5\n")


async def is_empty(directory, workers):
    return not orphaned(directory, workers, "host")


async def test_one_sidecar_writes_what_several_workers_left(
    home, upstream, database, database_url
):
    await prepare_audit_log(database)
    await leave(home, "worker-0", "worker-1")
    async with home.sidecar(upstream.url, database_url):
        await arrived(database, 22)
        await eventually(lambda: is_empty(home.journal, 1))


async def test_workers_write_what_one_sidecar_and_further_workers_left(
    home, upstream, database, database_url
):
    await prepare_audit_log(database)
    await leave(home, ".", "worker-7")
    workers = {"PROXY_WORKERS": "2", "PROXY_PORT": str(free_port())}
    async with home.sidecar(upstream.url, database_url, **workers) as supervisor:
        await arrived(database, 22)
        await supervisor.logged("journal.orphaned_drained")
        await eventually(lambda: is_empty(home.journal, 2))


async def test_a_journal_that_somebody_has_open_is_left_alone(
    home, upstream, database, database_url
):
    await leave(home, "worker-1")
    async with (
        open_journal(home.journal / "worker-1", instance="old", ring_directory=home.ring),
        home.sidecar(upstream.url, database_url) as sidecar,
    ):
        said = await sidecar.logged("journal.orphaned_not_opened")
        await degraded(sidecar, "worker-1 is not written")
    assert "another process keeps its journal here" in said["error"]


async def test_every_worker_names_a_journal_that_is_held_until_it_is_written(
    home, upstream, database, database_url
):
    await prepare_audit_log(database)
    await leave(home, "worker-7", "worker-8")
    workers = {"PROXY_WORKERS": "2", "PROXY_PORT": str(free_port())}
    async with contextlib.AsyncExitStack() as held:
        await held.enter_async_context(
            open_journal(home.journal / "worker-7", instance="old", ring_directory=home.ring)
        )
        async with home.sidecar(upstream.url, database_url, **workers) as supervisor:
            await eventually(lambda: both_tell(supervisor, "worker-7 is not written"))
            await arrived(database, 11)  # of the other journal, which did not have to wait
            await held.aclose()
            await arrived(database, 22)
            await eventually(lambda: both_tell(supervisor, ""))


async def both_tell(supervisor, problem):
    """Say whether the ops ports of both workers tell *problem*, or that there is none."""
    started = [line for line in supervisor.log if line["event"] == "service.started"]
    said = []
    async with ClientSession() as client:
        for line in started:
            async with client.get(f"http://127.0.0.1:{line['ops_port']}/readyz") as response:
                said.append((await response.json())["reasons"])
    if not problem:
        return said == [[], []]
    return len(said) == 2 and all(problem in " ".join(reasons) for reasons in said)


async def test_a_disk_that_hangs_holds_up_neither_calls_nor_the_next_journal(
    home, upstream, database, database_url
):
    callers = Callers(await prepare_audit_log(database))
    upstream.plan(responding_by_path)
    await leave(home, "worker-1", "worker-2")
    mark = home.journal / "worker-1" / "running"
    mark.unlink(missing_ok=True)
    os.mkfifo(mark)  # to open it waits until somebody writes there
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await callers.make(sidecar.port, 10)
        await arrived(database, 10 + 11)
        await sidecar.logged("journal.orphaned_late")
        await degraded(sidecar, "worker-1 does not answer")

        os.close(os.open(mark, os.O_WRONLY))
        mark.unlink()
        await arrived(database, 10 + 2 * 11)
        await recovered(sidecar)


async def test_a_gap_carries_the_name_of_the_worker_that_left_it(
    home, upstream, database, database_url
):
    await prepare_audit_log(database)
    await leave(home, "worker-3")
    lose_head(home.journal / "worker-3")
    async with home.sidecar(upstream.url, database_url) as sidecar:
        await sidecar.logged("journal.orphaned_drained")

    row = await database.fetch_row("SELECT instance FROM mcp_audit_gap")
    assert row is not None
    assert row["instance"] == f"{home.instance}/3"


async def test_only_journals_that_nobody_will_open_are_orphaned(home):
    await leave(home, ".", "worker-0", "worker-1", "worker-2")
    workers = [Place(home.journal / f"worker-{n}", f"host/{n}") for n in range(3)]

    assert orphaned(home.journal, 1, "host") == workers
    assert orphaned(home.journal, 2, "host") == [Place(home.journal, "host"), workers[2]]
    assert orphaned(home.journal / "worker-0", 1, "host/0") == []
