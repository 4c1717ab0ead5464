"""`python -m audit_api` as a process: how it starts, what it survives, and how it ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp import ClientSession
from cryptography import x509

from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.schema.migrate import migrate
from tests.neighbours.audit_api import ALL, record
from tests.neighbours.audit_database import own_postgres
from tests.neighbours.certificates import self_signed
from tests.neighbours.podwarden import serving_podwarden
from tests.neighbours.program import CHECKOUT
from tests.neighbours.services import Service, refusing_port, running_audit_api

PATIENCE_SECONDS = 20


@pytest.fixture
async def podwarden():
    async with serving_podwarden() as judge:
        yield judge


async def asked(service: Service, path: str, **fields: str) -> tuple[int, Any]:
    async with (
        ClientSession() as client,
        client.get(service.url + path, headers=fields) as response,
    ):
        return response.status, await response.json()


async def becoming(expected: int, ask: Callable[[], Awaitable[tuple[int, Any]]]) -> Any:
    """Ask until the status is *expected*: nothing announces that a database has come back."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            status, answered = await ask()
            if status == expected:
                return answered
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
async def test_answers_from_the_environment_alone_and_stops_cleanly(
    database_url, database, store, stop_signal
):
    _, secret = await TokenTable(database).create("reader", "operator", 90)
    await store.append([kept := record()])
    async with running_audit_api(database_url, AUDIT_API_READER_ROLES="admin,operator") as service:
        status, [entry] = await asked(service, ALL, Authorization=f"Bearer {secret}")
        assert status == 200
        assert entry["id"] == str(kept.id)
        assert service.started["host"] == "127.0.0.1"

        assert await service.stop(stop_signal) == 0
        assert [line["event"] for line in service.log] == ["service.started", "service.stopped"]
        assert service.noise == []


async def test_starts_without_postgresql_and_recovers_by_itself_whenever_it_comes_back():
    with own_postgres() as postgres:
        url = postgres.url()
        async with open_database(url, application="test") as database:
            await migrate(database)
            _, secret = await TokenTable(database).create("reader", "admin", 90)
            await Store(database).append([record()])
        await asyncio.to_thread(postgres.stop)

        async with running_audit_api(url) as service:
            entries = partial(asked, service, ALL, Authorization=f"Bearer {secret}")
            readiness = partial(asked, service, "/readyz")
            for _ in range(2):
                status, answered = await entries()
                assert (status, answered) == (503, {"detail": "The audit log is out of reach"})
                status, answered = await readiness()
                [reason] = answered["reasons"]
                assert (status, reason.partition(":")[0]) == (503, "the database is out of reach")
                assert await asked(service, "/healthz") == (200, {"status": "alive"})

                await asyncio.to_thread(postgres.start)
                assert len(await becoming(200, entries)) == 1
                assert (await readiness())[0] == 200
                await asyncio.to_thread(postgres.kill)
            assert await service.stop() == 0
            assert service.noise == []


async def test_says_that_the_schema_is_missing_and_answers_once_it_is_there(empty_database_url):
    async with running_audit_api(empty_database_url) as service:
        status, answered = await asked(service, "/readyz")
        assert status == 503
        assert answered["reasons"] == [
            "the schema is missing or out of date: run `podwarden-audit migrate`"
        ]
        assert (await asked(service, ALL, Authorization="Bearer pwm_x"))[0] == 503

        async with open_database(empty_database_url, application="test") as database:
            await migrate(database)
        assert (await asked(service, "/readyz"))[0] == 200
        assert (await asked(service, ALL, Authorization="Bearer pwm_x"))[0] == 401


async def test_a_defect_costs_one_answer_and_leaves_one_line(database_url):
    dividing_by_zero = "SELECT id, name FROM mcp_tokens WHERE $1 = (1 / 0)::text"
    async with running_audit_api(database_url, AUDIT_API_TOKEN_QUERY=dividing_by_zero) as service:
        status, answered = await asked(service, ALL, Authorization="Bearer pwm_x")
        assert (status, answered) == (500, {"detail": "Internal Server Error"})
        assert (await asked(service, "/readyz"))[0] == 200

        failed = await service.logged("question.failed")
        assert failed["error"] == "RecordRefusedError"
        assert "/audit_log/postgres/" in failed["where"]
        assert service.noise == []


async def test_stopping_waits_for_the_question_under_way(database_url, podwarden):
    podwarden.responding.clear()
    async with running_audit_api(database_url, AUDIT_API_AUTH_URL=podwarden.url) as service:
        question = asyncio.create_task(asked(service, ALL, Cookie="session=abc"))
        await podwarden.entered.wait()
        stop = asyncio.create_task(service.stop())
        await refused(service.port)
        podwarden.responding.set()

        assert await question == (200, [])
        assert await stop == 0


async def refused(port: int) -> None:
    """Return once nobody listens on *port* any more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.01)


async def test_podwarden_must_prove_who_it_is(database_url, tmp_path):
    tls, certificate = self_signed(x509.IPAddress(ip_address("127.0.0.1")), tmp_path)
    async with serving_podwarden(tls) as podwarden:
        for trusted, expected in (({}, 503), ({"SSL_CERT_FILE": str(certificate)}, 200)):
            async with running_audit_api(
                database_url, AUDIT_API_AUTH_URL=podwarden.url, **trusted
            ) as service:
                status, _ = await asked(service, ALL, Cookie="session=abc")
                assert status == expected
        assert len(podwarden.asked) == 1


async def test_credentials_never_reach_the_log_even_when_nothing_works():
    with refusing_port() as port:
        away = f"127.0.0.1:{port}"
        async with running_audit_api(
            f"postgresql://nobody:s3cret@{away}/none",
            AUDIT_API_AUTH_URL=f"http://{away}/",
            AUDIT_LOG_LOG_LEVEL="debug",
        ) as service:
            for credentials in ("Bearer pwm_s3cret", "Basic s3cret", "Bearer pwm_s3cret\udcff"):
                head = (
                    f"GET {ALL}?key=s3cret HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                    f"Authorization: {credentials}\r\nCookie: session=s3cret\r\n\r\n"
                )
                response = await sent(service.port, head.encode("utf-8", "surrogateescape"))
                assert b"s3cret" not in response
            malformed = b"GET / HTTP/1.1\r\nAuthorization: s3cret\x00\r\n\r\n"
            assert b" 400 " in await sent(service.port, malformed)
            await service.stop()
            assert "s3cret" not in service.report()
            assert service.noise == []
            events = [line["event"] for line in service.log]
            events.remove("reads.not_recorded")  # in the background
            assert events == [
                "service.started",
                "service.not_ready",
                "question.not_answered",
                "question.not_answered",
                "reader.refused",
                "request.malformed",
                "reads.lost",
                "service.stopped",
            ]


async def sent(port: int, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    async with asyncio.timeout(PATIENCE_SECONDS):
        response = await reader.read()
    writer.close()
    await writer.wait_closed()
    return response


def started(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "audit_api"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_port_already_taken_is_one_readable_line(log_format):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = started(
            AUDIT_LOG_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
            AUDIT_LOG_LOG_FORMAT=log_format,
            AUDIT_API_PORT=str(port),
        )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        f"AUDIT_API_HOST, AUDIT_API_PORT: cannot listen on 127.0.0.1 port {port}: "
        "address already in use\n"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid", "not a host"])
def test_an_address_that_is_not_ours_is_one_readable_line(host):
    ended = started(
        AUDIT_LOG_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        AUDIT_API_HOST=host,
        AUDIT_API_PORT="0",
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        f"AUDIT_API_HOST, AUDIT_API_PORT: cannot listen on {host} port 0: "
    )
    assert ended.stderr.count("\n") == 1


def test_a_missing_setting_is_one_readable_line():
    ended = started()
    assert ended.returncode == 78
    assert ended.stderr == "AUDIT_LOG_DATABASE_URL is not set\n"
