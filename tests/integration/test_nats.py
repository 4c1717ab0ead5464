"""Records that travel through a NATS stream: from the sidecar to the ingest to PostgreSQL."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client

from audit_log.errors import StoreUnavailableError
from audit_log.ingest import Ingest
from audit_log.jetstream import open_jetstream
from audit_log.settings import NatsSettings
from tests.neighbours.nats_server import running_nats
from tests.neighbours.patience import eventually


@pytest.fixture(scope="module")
def nats():
    with running_nats() as server:
        yield server


@pytest.fixture
def settings(nats, request):
    return NatsSettings(urls=nats.url, stream=request.node.name[:60], replicas=1)


@pytest.fixture
async def jetstream(settings):
    async with open_jetstream(settings) as jetstream:
        yield jetstream


async def nobody(token_hash):
    return None


@asynccontextmanager
async def ingesting(jetstream, store):
    ingest = Ingest(jetstream, store, nobody)
    task = asyncio.create_task(ingest.run())
    try:
        yield ingest
    finally:
        task.cancel()
        await asyncio.wait({task})


async def published(jetstream, publish):
    """Publish as soon as the stream is there."""

    async def attempt():
        try:
            await publish
        except StoreUnavailableError:
            return False
        return True

    await eventually(attempt)


async def refused_messages(settings):
    client = Client()
    await client.connect(settings.servers)
    try:
        jetstream = client.jetstream()
        count = (await jetstream.stream_info(settings.stream)).state.messages
        said = []
        for _ in range(count):
            subject = f"{settings.stream}.refused"
            said.append(await jetstream.get_msg(settings.stream, subject=subject, next=True))
        return said
    finally:
        await client.close()
