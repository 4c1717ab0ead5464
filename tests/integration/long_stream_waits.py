"""A live stream says for what it waits, and ends when it would leave records out."""

from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from tests.integration.test_logical_subscriber import (
    arrange,
    primary,
    primary_url,
    publisher,
    reading,
)
from tests.integration.test_replica import INSERT, replica, replicated
from tests.neighbours.audit_api import serving_audit_api
from tests.neighbours.events import Event, listening
from tests.neighbours.logical_subscriber import ALL_COLUMNS, subscribed
from tests.neighbours.records import a_record

__all__ = ["primary", "primary_url", "publisher", "replica"]


async def test_the_stream_says_what_it_waits_for_and_goes_on(database_url, replica):
    async with replicated(database_url, replica) as (primary, _, replica_url):
        _, secret = await TokenTable(primary).create("laptop", "admin", 90)
        record = a_record()
        async with serving_audit_api(database_url, database_url=replica_url) as client:
            client.headers["Authorization"] = f"Bearer {secret}"
            async with primary.transaction() as slow:
                await slow.execute(INSERT, record.id, record.path, record.created_at)
                async with open_database(database_url, application="writer") as writer:
                    await Store(writer).append([a_record()])
                async with listening(client) as events:
                    waiting = await events.next()
            assert waiting is not None
            assert waiting.kind == "waiting"
            assert "live streams and exports wait for transaction" in waiting.data["reason"]


async def test_a_stream_ends_when_it_would_leave_records_out(
    primary, primary_url, database_url, database
):
    """The first record tells of the publication, which the audit API cannot look at here."""
    await arrange("ahead", primary_url, database_url)
    async with (
        subscribed(primary_url, database_url, ALL_COLUMNS),
        reading(database, database_url, database_url) as client,
        listening(client) as events,
    ):
        await Store(primary).append([a_record()])

        assert await events.next() == Event("notice", {"reason": "incomplete"})
        assert await events.next() is None
