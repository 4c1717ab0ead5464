"""Journals of workers that are configured no more: the next start writes what is in them."""

import pytest

from proxy.journal import open_journal
from proxy.left_over import left_over
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.journal import a_record
from tests.neighbours.journal_home import journal_home
from tests.neighbours.patience import eventually
from tests.neighbours.services import free_port


@pytest.fixture
def home():
    with journal_home() as home:
        yield home


async def leave(home, *names):
    """Leave a journal with 10 records and a call in flight in each directory of these names."""
    for name in names:
        async with open_journal(
            home.journal / name, instance="gone", head_directory=home.head
        ) as journal:
            for number in range(10):
                journal.offer(a_record(number))
            journal.begin(a_record(10))


async def is_empty(directory, workers):
    return not left_over(directory, workers)


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
        await supervisor.logged("journal.left_over_drained")
        await eventually(lambda: is_empty(home.journal, 2))


async def test_a_journal_that_somebody_has_open_is_left_alone(
    home, upstream, database, database_url
):
    await leave(home, "worker-1")
    async with (
        open_journal(home.journal / "worker-1", instance="old", head_directory=home.head),
        home.sidecar(upstream.url, database_url) as sidecar,
    ):
        said = await sidecar.logged("journal.left_over_not_opened")
    assert "another process keeps its journal here" in said["error"]


async def test_only_journals_that_nobody_will_open_are_left_over(home):
    await leave(home, ".", "worker-0", "worker-1", "worker-2")

    assert left_over(home.journal, 1) == [home.journal / f"worker-{n}" for n in range(3)]
    assert left_over(home.journal, 2) == [home.journal, home.journal / "worker-2"]
    assert left_over(home.journal / "worker-0", 1) == []
