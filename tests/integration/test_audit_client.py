"""The typed client against the real audit API on a real database."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from audit_api.client.audit_client import open_client
from audit_api.client.refusals import (
    NotAllowedError,
    NothingFoundError,
    OutOfReachError,
    WrongQuestionError,
)
from audit_log.postgres.token_table import TokenTable
from audit_log.record import Gap, new_record_id
from tests.neighbours.audit_api import NOBODY, record, url_of_audit_api
from tests.neighbours.records import a_tool_call
from tests.neighbours.services import refusing_port

BEGAN = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)


@asynccontextmanager
async def asking(database, database_url):
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    async with url_of_audit_api(database_url) as url, open_client(url, secret) as client:
        yield client


async def test_each_question_has_a_typed_answer(store, database, database_url):
    session = new_record_id()
    call = a_tool_call(created_at=BEGAN, session=session, client_name="claude-code")
    of_call = record(method="POST", path="/api/v1/nodes", invocation_id=call.id, status_code=503)
    others = [record(created_at=BEGAN + timedelta(seconds=n)) for n in range(3)]
    gap = Gap(
        id=new_record_id(),
        started_at=BEGAN,
        ended_at=BEGAN + timedelta(minutes=1),
        count=25_000,
        reason="journal_full",
        instance="test",
    )
    await store.append([of_call, *others])
    await store.append_invocations([call])
    await store.append_gaps([gap])

    async with asking(database, database_url) as client:
        found = [entry async for entry in client.entries({"method": "POST", "status": "5xx"})]
        newest = [entry.id async for entry in client.entries(limit=2)]
        tool_calls = [each async for each in client.tool_calls({"session": session})]
        [of_agent] = [each async for each in client.sessions()]
        whole = await client.session(of_agent.id)
        one, its_call = await client.entry(of_call.id), await client.tool_call(call.id)
        counts = await client.counts("token", {"since": BEGAN, "until": BEGAN + timedelta(1)})
        [last] = [read async for read in client.reads({"kind": "question"}, limit=1)]
        [missing] = await client.gaps({"since": BEGAN, "until": BEGAN + timedelta(hours=1)})

    assert [entry.id for entry in found] == [of_call.id]
    assert (one.path, one.created_at, one.arrived_at is None) == ("/api/v1/nodes", BEGAN, False)
    assert newest == [others[2].id, others[1].id]
    assert [(each.id, each.client_name) for each in tool_calls] == [(call.id, "claude-code")]
    assert [each.id for each in its_call.calls] == [of_call.id]
    assert (of_agent.id, of_agent.tool_calls) == (session, 1)
    assert [each.calls[0].id for each in whole.invocations] == [of_call.id]
    assert [(count.value, count.calls) for count in counts] == [("claude", 4)]
    assert (last.reader, last.question[:22]) == ("reader", "/mcp-audit/stats?by=to")
    assert (missing.count, missing.since, missing.reason) == (25_000, BEGAN, "journal_full")


async def test_lists_are_walked_page_by_page(store, database, database_url):
    records = [record(created_at=BEGAN + timedelta(seconds=n)) for n in range(1_203)]
    await store.append(records)

    async with asking(database, database_url) as client:
        every = [entry.id async for entry in client.entries({"until": BEGAN + timedelta(days=1)})]
        some = [entry.id async for entry in client.entries(limit=701)]

    newest_first = [each.id for each in reversed(records)]
    assert every == newest_first
    assert some == newest_first[:701]


async def test_exports_and_the_stream_go_on_where_they_ended(store, database, database_url):
    first, second = record(), record(created_at=BEGAN + timedelta(seconds=1))
    await store.append([first, second])

    async with asking(database, database_url) as client:
        async with client.export({"format": "csv"}) as export:
            file = b"".join([piece async for piece in export.pieces])
        part = await client.part({}, None, 1)
        rest = await client.part({}, part.mark, 2)
        third = record(created_at=BEGAN - timedelta(days=1))
        await store.append([third])
        events = client.follow(after=export.mark)
        kinds = [(await anext(events)).kind for _ in range(2)]
        await events.aclose()

    assert len(file.splitlines()) == 3
    assert (str(first.id).encode() in part.body, part.has_more) == (True, True)
    assert (str(second.id).encode() in rest.body, rest.has_more) == (True, False)
    assert kinds == ["entry", ""]


async def test_what_went_wrong_is_told_by_kind(store, database, database_url):
    async with asking(database, database_url) as client:
        with pytest.raises(WrongQuestionError, match="status: This should be a status code"):
            await anext(client.entries({"status": "soon"}))
        with pytest.raises(NothingFoundError, match="There is no such entry"):
            await client.entry(NOBODY)
    async with url_of_audit_api(database_url) as url, open_client(url, "pwm_wrong") as stranger:
        with pytest.raises(NotAllowedError):
            await stranger.gaps()
    with refusing_port() as port:
        async with open_client(f"http://127.0.0.1:{port}") as nowhere:
            with pytest.raises(OutOfReachError, match="cannot be reached: Connect"):
                await nowhere.gaps()
