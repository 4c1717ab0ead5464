"""`podwarden-audit check`: a line for each thing that a service needs, and what to do."""

import asyncio
import os
import sys

import nats
import pytest

from proxy.journal.folder import JournalFolder
from tests.neighbours.console import console
from tests.neighbours.nats_server import running_nats
from tests.neighbours.program import CHECKOUT

# Waits for ever, unless what it is given is interrupted: a FIFO without a writer.
HANGING = """
import asyncio, sys
from pathlib import Path
from deploy.checks.check import run_checks
from deploy.checks.files import files_check
check = files_check("TLS files", Path(sys.argv[1]).read_text)
sys.exit(not asyncio.run(run_checks([[check]], print, limit_seconds=0.2)))
"""


@pytest.fixture
def sidecar(database_url, upstream):
    return {"AUDIT_LOG_DATABASE_URL": database_url, "PROXY_UPSTREAM_URL": upstream.url}


def port_of(server):
    return server.sockets[0].getsockname()[1]


async def test_a_sidecar_that_has_all_it_needs_is_told_so_and_nothing_is_made(sidecar, tmp_path):
    done = await console("check", directory=tmp_path, **sidecar)

    assert done.code == 0, done.output
    assert [line.split(":")[0] for line in done.lines] == [
        "ok      TLS files",
        "ok      PROXY_JOURNAL_DIR",
        "ok      PROXY_JOURNAL_RING_DIR",
        "ok      response codings",
        "ok      PROXY_UPSTREAM_URL",
        "ok      AUDIT_LOG_DATABASE_URL",
        "ok      schema",
        "ok      rights",
        "ok      PROXY_TOKEN_QUERY",
    ]
    assert done.complaints == ""
    assert list(tmp_path.iterdir()) == []


async def test_an_audit_api_that_has_all_it_needs_is_told_so(database_url, upstream, tmp_path):
    done = await console(
        *("check", "api"),
        directory=tmp_path,
        AUDIT_LOG_DATABASE_URL=database_url,
        AUDIT_API_AUTH_URL=f"{upstream.url}/api/v1/settings",
        AUDIT_API_TOKEN_DATABASE_URL=database_url,
    )

    assert done.code == 0, done.output
    assert [line.split(":")[0] for line in done.lines] == [
        "ok      TLS files",
        "ok      AUDIT_LOG_DATABASE_URL",
        "ok      schema",
        "ok      rights",
        "ok      arrivals",
        "ok      AUDIT_API_TOKEN_DATABASE_URL",
        "ok      AUDIT_API_TOKEN_QUERY",
        "ok      AUDIT_API_AUTH_URL",
    ]


async def test_an_ingest_is_told_that_the_stream_is_not_there_and_none_is_made(
    database_url, tmp_path
):
    with running_nats() as server:
        settings = {"AUDIT_LOG_DATABASE_URL": database_url, "AUDIT_LOG_NATS_URLS": server.url}
        done = await console("check", "ingest", directory=tmp_path, **settings)
        client = await nats.connect(server.url)
        streams = await client.jetstream().streams_info()
        await client.close()

    assert done.code == 0, done.output
    assert "the stream podwarden_audit is made at the first start" in done.lines[1]
    assert streams == []


async def test_everything_that_a_sidecar_misses_is_told_in_a_line_each(tmp_path):
    done = await console(
        *("check", "proxy"),
        directory=tmp_path,
        AUDIT_LOG_DATABASE_URL="postgresql://x:secret@127.0.0.1:1/x",
        PROXY_UPSTREAM_URL="http://127.0.0.1:1",
        PROXY_AUDIT_API_URL="http://127.0.0.1:1",
        PROXY_HUB_URL="wss://no.invalid",
        PROXY_WEBHOOK_URL="https://127.0.0.1:1/secret",
        PROXY_WEBHOOK_SECRET="whsec_Q0hBTkdFLU1FLVRPLTMyLVJBTkRPTS1CWVRFUy1OT1c=",
        PROXY_TLS_CERTIFICATE_FILE="none.crt",
        PROXY_TLS_KEY_FILE="none.key",
        PROXY_JOURNAL_DIR="/etc/passwd/journal",
        PROXY_JOURNAL_RING_DIR="none",
        PROXY_TOKEN_DATABASE_URL="postgresql://x:secret@127.0.0.1:1/x",
        PROXY_SINK="nats",
        AUDIT_LOG_NATS_URLS="nats://x:secret@127.0.0.1:1",
    )

    assert done.code == 1
    refused = "127.0.0.1 port 1 cannot be reached (Connection refused): start it, or correct "
    away = "[Errno 111] Connect call failed ('127.0.0.1', 1): see "
    told = dict(line.removeprefix("failed  ").split(": ", 1) for line in done.lines if ":" in line)
    assert told.pop("PROXY_HUB_URL").startswith("no.invalid has no address (")
    assert told == {
        "TLS files": (
            "PROXY_TLS_CERTIFICATE_FILE: none.crt cannot be read: No such file or directory"
        ),
        "PROXY_JOURNAL_DIR": "/etc/passwd is no directory: make it, or name another",
        "PROXY_JOURNAL_RING_DIR": "none is no directory: make it, or name another",
        "ok      response codings": "gzip, x-gzip, deflate, br, zstd are read",
        "PROXY_UPSTREAM_URL": refused + "PROXY_UPSTREAM_URL",
        "PROXY_AUDIT_API_URL": refused + "PROXY_AUDIT_API_URL",
        "PROXY_WEBHOOK_URL": refused + "PROXY_WEBHOOK_URL",
        "AUDIT_LOG_DATABASE_URL": away + "AUDIT_LOG_DATABASE_URL",
        "PROXY_TOKEN_DATABASE_URL": away + "PROXY_TOKEN_DATABASE_URL",
        "ok      NATS files": "those that are set can be used",
        "AUDIT_LOG_NATS_URLS": (
            "NATS: no servers available for connection: start the servers, or correct"
            " AUDIT_LOG_NATS_URLS and AUDIT_LOG_NATS_CREDENTIALS_FILE"
        ),
    }
    assert [line for line in done.lines if ":" not in line] == [
        "skipped schema",
        "skipped rights",
        "skipped PROXY_TOKEN_QUERY",
    ]
    assert "secret" not in done.output
    assert done.complaints == ""


async def test_neighbours_that_are_there_and_wrong_are_told(database_url, tmp_path):
    async def refuse_tls(_reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def say_nothing(reader, writer):
        await reader.read()  # until the client hangs up
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    plain = await asyncio.start_server(refuse_tls, "127.0.0.1", 0)
    async with silent, plain:
        done = await console(
            "check",
            directory=tmp_path,
            AUDIT_LOG_DATABASE_URL=f"postgresql://x@127.0.0.1:{port_of(silent)}/x",
            PROXY_UPSTREAM_URL=f"https://127.0.0.1:{port_of(plain)}",
            PROXY_TOKEN_DATABASE_URL=database_url,
            PROXY_TOKEN_QUERY="SELECT 1",
            PROXY_SINK="nats",
            AUDIT_LOG_NATS_URLS="nats://127.0.0.1:1",
            AUDIT_LOG_NATS_CREDENTIALS_FILE="none.creds",
        )

    assert done.code == 1
    failed = [line for line in done.lines if line.startswith("failed")]
    for line, told in zip(
        failed,
        (
            "cannot be reached (wrong version number): start it, or correct PROXY_UPSTREAM_URL",
            "failed  AUDIT_LOG_DATABASE_URL: ",
            "failed  PROXY_TOKEN_QUERY: the server expects 0 arguments",
            "failed  NATS files: AUDIT_LOG_NATS_CREDENTIALS_FILE: none.creds cannot be read",
        ),
        strict=True,
    ):
        assert told in line


async def test_an_older_schema_a_query_that_ignores_the_hash_and_a_kept_journal_are_told(
    sidecar, database, database_url, tmp_path
):
    await database.execute(
        "DELETE FROM mcp_audit_schema WHERE name = (SELECT max(name) FROM mcp_audit_schema)"
    )
    held = JournalFolder(tmp_path / "worker-1")
    try:
        done = await console(
            "check",
            directory=tmp_path,
            PROXY_JOURNAL_DIR=str(tmp_path),
            PROXY_WORKERS="2",
            PROXY_TOKEN_DATABASE_URL=database_url,
            PROXY_TOKEN_QUERY="SELECT gen_random_uuid() AS id, 'x' AS name, $1::text AS hash",
            **sidecar,
        )
    finally:
        held.close()

    assert done.code == 1
    kept = f"{tmp_path}/worker-1: another process keeps its journal here"
    assert [line.split(";")[0] for line in done.lines if not line.startswith("ok")] == [
        f"failed  PROXY_JOURNAL_DIR: {kept}",
        "failed  schema: out of date: run `podwarden-audit migrate` as its owner",
        "skipped rights",
        "failed  PROXY_TOKEN_QUERY: it answers a token whatever is asked for: compare with $1",
    ]


async def test_a_missing_schema_is_told_and_what_needs_it_is_skipped(
    sidecar, empty_database_url, tmp_path
):
    settings = sidecar | {"AUDIT_LOG_DATABASE_URL": empty_database_url}

    done = await console("check", directory=tmp_path, **settings)

    assert done.code == 1
    assert done.lines[-3:] == [
        "failed  schema: there is none: run `podwarden-audit migrate` as its owner",
        "skipped rights",
        "skipped PROXY_TOKEN_QUERY",
    ]


async def test_a_file_that_hangs_is_told_and_does_not_keep_the_check_alive(tmp_path):
    os.mkfifo(tmp_path / "hanging")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HANGING, str(tmp_path / "hanging")),
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        output, complaints = await process.communicate()

    assert process.returncode == 1
    assert output == b"failed  TLS files: no answer within 0.2 seconds\n"
    assert complaints == b""
