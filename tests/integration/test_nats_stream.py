"""A stream that is not as ours, and a server that allows less: told by name, nothing lost."""

import asyncio

import pytest
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig

from audit_log.errors import StoreUnavailableError
from audit_log.nats.jetstream import open_jetstream
from audit_log.nats.publisher import Publisher
from audit_log.process.settings import NatsSettings
from tests.integration.test_nats import client_of, ingesting, publishing, stored
from tests.neighbours.journal import a_record
from tests.neighbours.nats_server import running_nats
from tests.neighbours.patience import eventually


@pytest.fixture(scope="module")
def nats():
    with running_nats() as server:
        yield server


@pytest.fixture
def settings(nats, request):
    name = request.node.name.replace("[", "_").replace("]", "")[-60:]
    return NatsSettings(urls=nats.url, stream=name, replicas=1)


async def make_stream(settings, **differences):
    config = {
        "name": settings.stream,
        "subjects": [f"{settings.stream}.>"],
        "retention": RetentionPolicy.WORK_QUEUE,
        "discard": DiscardPolicy.NEW,
    }
    async with client_of(settings) as client:
        await client.jetstream().add_stream(StreamConfig(**config | differences))


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ({"discard": DiscardPolicy.OLD, "max_msgs": 10}, "discards old"),
        ({"max_age": 3600}, "max_age"),
        ({"retention": RetentionPolicy.LIMITS}, "retention is limits"),
        ({"retention": RetentionPolicy.INTEREST}, "retention is interest"),
        ({"max_msgs_per_subject": 5}, "5 messages of a subject"),
        ({"storage": "memory"}, "storage is memory"),
        ({"no_ack": True}, "no_ack"),
    ],
    ids=range(7),
)
async def test_nothing_is_published_to_a_stream_that_would_lose_it(settings, differences, words):
    await make_stream(settings, **differences)
    async with open_jetstream(settings) as jetstream:
        with pytest.raises(StoreUnavailableError, match=words):
            await Publisher(jetstream).append([a_record()])


async def test_a_stream_with_a_subject_too_few_is_named(settings):
    await make_stream(settings, subjects=[f"{settings.stream}.record"])
    async with open_jetstream(settings) as jetstream:
        with pytest.raises(StoreUnavailableError, match=rf"subject {settings.stream}\.gap"):
            await Publisher(jetstream).append([a_record()])


async def test_a_stream_changed_while_running_is_told_and_used_again_when_mended(settings, store):
    async with (
        open_jetstream(settings) as jetstream,
        open_jetstream(settings) as other,
        ingesting(other, store) as ingest,
    ):
        await publishing(lambda: Publisher(jetstream).append([a_record(0)]))
        await stored(store, 1)
        async with client_of(settings) as client:
            found = (await client.jetstream().stream_info(settings.stream)).config
            found.max_age = 3600.0
            await client.jetstream().update_stream(found)
            # The next connection looks at once; a lasting one every half minute.
            await jetstream.close()
            with pytest.raises(StoreUnavailableError, match="max_age"):
                await Publisher(jetstream).append([a_record(1)])
            await other.close()

            async def is_told():
                return "max_age" in str(ingest.problem)

            assert await eventually(is_told)
            found.max_age = 0.0
            await client.jetstream().update_stream(found)
        await Publisher(jetstream).append([a_record(1)])
        await stored(store, 2)

        async def is_well():
            return ingest.problem is None

        assert await eventually(is_well)


async def test_a_consumer_that_gives_messages_up_is_refused_by_name(settings):
    await make_stream(settings)
    kinds = ("record", "invocation", "gap")
    async with client_of(settings) as client:
        await client.jetstream().add_consumer(
            settings.stream,
            ConsumerConfig(
                durable_name="ingest",
                ack_policy=AckPolicy.EXPLICIT,
                max_deliver=3,
                filter_subjects=[f"{settings.stream}.{kind}" for kind in kinds],
            ),
        )
    async with open_jetstream(settings) as jetstream:
        with pytest.raises(StoreUnavailableError, match="up after 3 deliveries"):
            await jetstream.reach()


async def test_messages_are_no_longer_than_the_server_takes(store, request):
    with running_nats("max_payload: 4096") as server:
        settings = NatsSettings(urls=server.url, stream="short", replicas=1)
        records = [a_record(number) for number in range(300)]
        async with (
            open_jetstream(settings) as jetstream,
            open_jetstream(settings) as other,
            ingesting(other, store),
        ):
            await publishing(lambda: Publisher(jetstream).append(records))
            await stored(store, 300)


async def test_what_a_user_may_not_do_is_named():
    users = """
    authorization { users: [
        { user: all, password: "1" }
        { user: less, password: "2", permissions: { publish: ["$JS.API.STREAM.INFO.few"] } }
        { user: old, password: "3", permissions: { publish: ["few.record"] } }
    ] }
    """
    with running_nats(users) as server:

        def settings_of(user):
            url = server.url.replace("nats://", f"nats://{user}@")
            return NatsSettings(urls=url, stream="few", replicas=1)

        async def made():
            async with open_jetstream(settings_of("all:1")) as jetstream:
                try:
                    await jetstream.reach()
                except StoreUnavailableError:
                    return False
                return True

        async def less_may_not_publish():
            async with open_jetstream(settings_of("less:2")) as jetstream:
                with pytest.raises(StoreUnavailableError, match=r"ermissions .*few\.record"):
                    await Publisher(jetstream).append([a_record()])

        async def old_may():
            async with open_jetstream(settings_of("old:3")) as jetstream:
                await Publisher(jetstream).append([a_record()])

        assert await eventually(made)
        # Each waits for a response that does not come, because the user may not ask.
        await asyncio.gather(less_may_not_publish(), old_may())
