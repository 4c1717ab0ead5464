"""Two sidecars and one journal folder: the second does not start."""

import os

from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.journal_home import journal_home
from tests.neighbours.program import run


async def test_the_second_sidecar_says_so_and_the_first_goes_on(upstream, database, database_url):
    upstream.plan(responding_by_path)
    callers = Callers(await prepare_audit_log(database))
    with journal_home() as home:
        async with home.sidecar(upstream.url, database_url) as first:
            await callers.make(first.port, 50)
            second = {
                **home.environment,
                "PATH": os.environ["PATH"],
                "AUDIT_LOG_DATABASE_URL": database_url,
                "PROXY_UPSTREAM_URL": upstream.url,
                "PROXY_PORT": "0",
                "PROXY_OPS_PORT": "0",
            }
            code, output, said = run("proxy", environment=second, seconds=20)
            await callers.make(first.port, 50)
            entries = await arrived(database, 100)

        assert (code, output) == (1, "")
        assert said == (
            f"PROXY_JOURNAL_DIR: {home.journal}: another process keeps its journal here; "
            "give each its own folder\n"
        )
        assert [entry.path for entry in entries] == callers.sent
