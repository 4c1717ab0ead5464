"""A real streaming replica of a PostgreSQL server of a test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.local.postgres import PostgresServer, running_postgres
from tests.neighbours.memory import directory_in_memory
from tests.neighbours.postgres_programs import run_program


@contextmanager
def replica_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """Copy *primary* while it runs, and follow it from there on."""
    with directory_in_memory("replica-") as directory:
        cluster = directory / "cluster"
        run_program(
            "pg_basebackup",
            "-D",
            str(cluster),
            "-d",
            primary.url(),
            "-R",
            "-c",
            "fast",
            "--no-sync",
        )
        # Its accounts and passwords are the primary's; ours owns the files.
        (directory / "password").write_text(primary.password)
        owner = primary.cluster.stat()
        for path in (cluster, *cluster.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        with running_postgres(directory, durable=False) as server:
            yield server
