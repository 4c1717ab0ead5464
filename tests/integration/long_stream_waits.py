"""The live stream of a replica says for which transaction of the primary it waits."""

from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from tests.integration.test_replica import INSERT, replica, replicated
from tests.neighbours.audit_api import serving_audit_api
from tests.neighbours.events import listening
from tests.neighbours.records import a_record

__all__ = ["replica"]


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
