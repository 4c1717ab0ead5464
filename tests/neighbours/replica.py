"""A real streaming replica of a PostgreSQL server of a test."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.postgres import PostgresServer, running_postgres
from tests.neighbours.postgres_programs import run_program


@contextmanager
def replica_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """Copy *primary* while it runs, and follow it from there on."""
    with tempfile.TemporaryDirectory(prefix="replica-") as name:
        directory = Path(name)
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
