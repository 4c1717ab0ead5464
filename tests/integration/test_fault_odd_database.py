"""What no driver foresees ends no background task: afterwards all goes on as before."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from audit_log.postgres.token_table import TokenTable
from tests.neighbours.arrivals import arrived
from tests.neighbours.audit_api import asking_as_admin, record
from tests.neighbours.audit_database import prepare_audit_log
from tests.neighbours.client import connected
from tests.neighbours.corpus import request
from tests.neighbours.events import Event, Events, listening
from tests.neighbours.hop import hop_to
from tests.neighbours.odd_postgres import odd_postgres
from tests.neighbours.patience import eventually
from tests.neighbours.sidecar import serving_sidecar
from tests.neighbours.upstream import OK, responding

WARNS = """
CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'not as it should be' USING ERRCODE = '01000';
END $$;
CREATE TRIGGER warn BEFORE INSERT ON mcp_audit_log FOR EACH ROW EXECUTE FUNCTION warn()
"""
WARNS_NO_MORE = """
CREATE OR REPLACE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
"""
FINDS = """
CREATE OR REPLACE FUNCTION find_token(hash text) RETURNS SETOF mcp_tokens LANGUAGE sql
AS 'SELECT * FROM mcp_tokens WHERE token_hash = hash'
"""
FINDS_NOTHING_BUT_WARNS = """
CREATE OR REPLACE FUNCTION find_token(hash text) RETURNS SETOF mcp_tokens LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'no data' USING ERRCODE = '02000'; END $$
"""


@pytest.fixture
async def secret(database, upstream):
    """A token; the only one in the database."""
    upstream.plan(responding(OK))
    return await prepare_audit_log(database)


async def called(sidecar, secret):
    """Make a call and return the status of its response."""
    async with connected(sidecar.port) as client:
        fields = b"Authorization: Bearer " + secret.encode()
        return (await client.ask(request(b"GET /api/v1/hosts/0/", fields))).status


async def revoke(database):
    tokens = TokenTable(database)
    [token] = await tokens.list()
    await tokens.revoke(token.id)


async def refused(sidecar, secret):
    """Wait until the sidecar refuses the token; return how many calls it took."""
    calls = 0

    async def is_refused():
        nonlocal calls
        calls += 1
        return await called(sidecar, secret) == 401

    assert await eventually(is_refused, sidecar.report)
    return calls


async def test_a_server_that_answers_oddly_for_a_while_ends_no_task(
    upstream, database, database_url, secret
):
    async with (
        hop_to(database_url) as hop,
        odd_postgres() as odd,
        serving_sidecar(upstream.url, hop.url) as sidecar,
    ):
        assert await called(sidecar, secret) == 200
        await arrived(database, 1)

        hop.lead_to(odd.url)
        assert await called(sidecar, secret) == 200
        await revoke(database)

        async def both_have_met_it():
            return odd.asked >= 4  # the writer and the token cache, each more than once

        assert await eventually(both_have_met_it, sidecar.report)
        hop.lead_to(database_url)

        calls = 2 + await refused(sidecar, secret)
        assert await arrived(database, calls)
        async with ClientSession(sidecar.ops_url) as client, client.get("/healthz") as response:
            assert response.status == 200


async def test_a_trigger_that_raises_a_warning_does_not_end_the_writer(
    upstream, database, database_url, secret
):
    await database.execute(WARNS)
    async with serving_sidecar(upstream.url, database_url) as sidecar:
        assert await called(sidecar, secret) == 200

        async def is_told():
            async with ClientSession(sidecar.ops_url) as client, client.get("/readyz") as response:
                return "not as it should be" in " ".join((await response.json())["reasons"])

        assert await eventually(is_told, sidecar.report)
        await database.execute(WARNS_NO_MORE)
        assert await arrived(database, 1)


async def test_a_token_query_that_raises_a_warning_does_not_end_the_token_cache(
    upstream, database, database_url, secret
):
    await database.execute(FINDS)
    query = "SELECT id, name, role, expires_at, revoked_at FROM find_token($1)"
    async with serving_sidecar(upstream.url, database_url, token_query=query) as sidecar:
        assert await called(sidecar, secret) == 200
        await database.execute(FINDS_NOTHING_BUT_WARNS)
        await revoke(database)  # announced, so the token is read again

        async def is_told():
            async with ClientSession(sidecar.ops_url) as client, client.get("/readyz") as response:
                return "token" in " ".join((await response.json())["reasons"])

        assert await eventually(is_told, sidecar.report)
        assert await called(sidecar, secret) == 200
        await database.execute(FINDS)

        await refused(sidecar, secret)


async def up_to_entry(events: Events) -> AsyncIterator[Event]:
    """Yield events up to the next entry."""
    while (event := await events.next()) is not None:
        yield event
        if event.kind == "entry":
            return


async def test_a_live_stream_goes_on_after_a_server_that_answered_oddly(
    database, database_url, store
):
    async with (
        hop_to(database_url) as hop,
        odd_postgres() as odd,
        asking_as_admin(database, hop.url) as api,
        listening(api) as events,
    ):
        first, second = record(), record()
        await store.append([first])
        assert await events.entries(1) == [str(first.id)]
        hop.lead_to(odd.url)

        async def has_met_it():
            return odd.asked >= 6  # what looks for records, and what listens for them

        assert await eventually(has_met_it)
        hop.lead_to(database_url)
        await store.append([second])
        async with asyncio.timeout(20):
            told = [event async for event in up_to_entry(events)]
        assert told[0].kind == "waiting"
        assert {event.kind for event in told[1:-1]} <= {"waiting", "resumed"}
        assert told[-1].data["id"] == str(second.id)
        async with api.get("/healthz") as response:
            assert response.status == 200
