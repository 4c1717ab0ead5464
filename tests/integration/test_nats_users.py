"""deploy/nats: what the servers are told, and what each of their users may do."""

import subprocess
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client
from nats.errors import Error

from audit_log.nats.ingest_service import APPLICATION as INGEST
from audit_log.nats.jetstream import open_jetstream
from audit_log.process.settings import NatsSettings
from proxy.settings import APPLICATION as PROXY
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.callers import Callers, responding_by_path
from tests.neighbours.nats_server import BINARY, running_nats
from tests.neighbours.ops import recovered
from tests.neighbours.patience import eventually
from tests.neighbours.program import CHECKOUT
from tests.neighbours.services import running_ingest, running_sidecar

FILES = CHECKOUT / "deploy" / "nats"
PASSWORD = "123456"
STREAM = "podwarden_audit"


@pytest.fixture
def passwords(monkeypatch):
    """Digits alone, in quotes, as the compose file and the manifest give them."""
    for user in ("PROXY", "INGEST"):
        monkeypatch.setenv(f"NATS_{user}_PASSWORD", f'"{PASSWORD}"')


@pytest.fixture
def nats(passwords):
    with running_nats((FILES / "users.conf").read_text()) as server:
        yield server


def url_of(nats, user):
    return nats.url.replace("nats://", f"nats://{user}:{PASSWORD}@")


def settings_of(nats, user):
    return {"AUDIT_LOG_NATS_URLS": url_of(nats, user), "AUDIT_LOG_NATS_REPLICAS": "1"}


@asynccontextmanager
async def the_sidecars_client(nats):
    """A client with the sidecar's password and the names that it may hear."""
    complaints = []

    async def complain(error):
        complaints.append(str(error))

    client = Client()
    await client.connect(url_of(nats, "proxy"), inbox_prefix=f"_INBOX.{PROXY}", error_cb=complain)
    try:
        yield client, complaints
    finally:
        await client.close()


@pytest.mark.parametrize("file", ["alone.conf", "cluster.conf"])
def test_the_server_understands_what_it_is_told(file, passwords, monkeypatch):
    monkeypatch.setenv("POD_NAME", "nats-0")

    said = subprocess.run(
        [BINARY, "--config", FILES / file, "-t"], check=False, capture_output=True, text=True
    )

    assert said.returncode == 0, said.stderr


async def test_records_pass_from_the_sidecars_user_to_the_ingests(
    nats, upstream, database, database_url
):
    upstream.plan(responding_by_path)
    callers = Callers(await prepare_audit_log(database))
    async with (
        running_ingest(database_url, **settings_of(nats, "ingest")),
        running_sidecar(
            upstream.url, database_url, PROXY_SINK="nats", **settings_of(nats, "proxy")
        ) as sidecar,
    ):
        await callers.make(sidecar.port, 20)
        await arrived(database, 20)
        await recovered(sidecar)


async def test_the_sidecars_user_can_neither_read_nor_remove_a_record(nats):
    ingest = NatsSettings(urls=url_of(nats, "ingest"), replicas=1)
    async with (
        open_jetstream(ingest, application=INGEST) as jetstream,
        the_sidecars_client(nats) as (client, complaints),
    ):
        await jetstream.reach()  # makes the stream
        for request in (f"STREAM.PURGE.{STREAM}", f"STREAM.MSG.GET.{STREAM}", "STREAM.NAMES"):
            with pytest.raises(Error):
                await client.request(f"$JS.API.{request}", b"{}", timeout=0.5)
        for subject in (f"{STREAM}.>", "_INBOX.>", "_INBOX.podwarden-audit-ingest.>"):
            await client.subscribe(subject)
        await client.publish(f"{STREAM}.refused", b"x")

        async def each_is_refused():
            return sum("ermissions" in complaint for complaint in complaints) == 7

        assert await eventually(each_is_refused, lambda: "\n".join(complaints))
