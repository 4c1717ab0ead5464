"""PostgreSQL over TLS, with a client certificate: Debian's server, for the wheel's has no TLS."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit_log.postgres.database import open_database
from audit_log.process.tls import KeyPair
from audit_log.schema.migrate import migrate
from tests.neighbours.certificates import LOOPBACK, key_pair_of
from tests.neighbours.ops import recovered
from tests.neighbours.ports import free_port
from tests.neighbours.services import running_sidecar
from tests.neighbours.upstream import Upstream


@dataclass(frozen=True, slots=True)
class SecureServer:
    url: str
    server: KeyPair
    client: KeyPair


@pytest.fixture
def secure() -> Iterator[SecureServer]:
    [*_, binaries] = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    account = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="tls-") as name:
        directory = Path(name)
        (directory / "server").mkdir()
        (directory / "client").mkdir()
        server = key_pair_of(LOOPBACK, directory / "server")
        client = key_pair_of(LOOPBACK, directory / "client")
        server.key.chmod(0o600)
        (directory / "password").write_text("secret")
        (directory / "rules").write_text("hostssl all all all scram-sha-256 clientcert=verify-ca")
        if account:
            for path in (directory, *directory.rglob("*")):
                shutil.chown(path, account)
        data, port = str(directory / "data"), free_port()
        settings = {
            "ssl": "on",
            "ssl_cert_file": server.certificate,
            "ssl_key_file": server.key,
            "ssl_ca_file": client.certificate,
            "hba_file": directory / "rules",
            "unix_socket_directories": "",
            "fsync": "off",
        }
        flags = [f"--{setting}={value}" for setting, value in settings.items()]
        initdb = ["-D", data, "-U", "podwarden", f"--pwfile={directory}/password", "--no-sync"]
        _run_as(account, binaries / "initdb", *initdb, "--auth=scram-sha-256").communicate()
        process = _run_as(account, binaries / "postgres", "-D", data, f"--port={port}", *flags)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "ready to accept connections" in line:
                    break
            yield SecureServer(
                f"postgresql://podwarden:secret@127.0.0.1:{port}/postgres", server, client
            )
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown
            process.communicate()


def _run_as(account: str | None, *command: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        user=account,
        cwd="/",
        env={"LC_ALL": "C"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


async def test_the_sidecar_verifies_postgresql_and_shows_its_certificate(
    secure: SecureServer, upstream: Upstream
):
    verified = f"{secure.url}?sslmode=verify-full&sslrootcert={secure.server.certificate}"
    shown = f"&sslcert={secure.client.certificate}&sslkey={secure.client.key}"
    async with open_database(verified + shown, application="test") as database:
        await migrate(database)
        [row] = await database.fetch("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert row["ssl"]
    async with running_sidecar(upstream.url, verified + shown) as sidecar:
        await recovered(sidecar)

    async with running_sidecar(upstream.url, verified) as sidecar:
        said = await sidecar.logged("token_cache.became_unavailable")
        assert "certificate" in said["reason"], said
        assert sidecar.noise == []

    stranger = f"{secure.url}?sslmode=verify-full&sslrootcert={secure.client.certificate}"
    async with running_sidecar(upstream.url, stranger + shown) as sidecar:
        said = await sidecar.logged("token_cache.became_unavailable")
        assert "certificate verify failed" in said["reason"], said
