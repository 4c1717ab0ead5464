"""What happened around a call: a list with that call in its middle, and pages on from there."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.neighbours.audit_api import ALL, NOBODY, asked, asking_as_admin, record
from tests.neighbours.records import a_tool_call

NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


@pytest.fixture
async def calls(store):
    """A call each half minute, from a quarter of an hour before noon to one after it."""
    made = [
        record(created_at=NOON + timedelta(seconds=30 * number), path=f"/{number}")
        for number in range(-30, 31)
    ]
    await store.append(made)
    return {call.path: call for call in made}


def paths(told):
    return [int(entry["path"].removeprefix("/")) for entry in told]


async def test_a_page_has_the_call_in_its_middle_and_the_next_goes_on(api, calls):
    noon = f"{ALL}?around={calls['/0'].id}"

    assert paths(await asked(api, noon)) == list(range(9, -11, -1))
    async with api.get(f"{noon}&limit=5") as response:
        assert paths(await response.json()) == [2, 1, 0, -1, -2]
        following = response.links["next"]["url"]
    assert paths(await asked(api, str(following))) == [-3, -4, -5, -6, -7]
    # At either end of the time there is less than half a page on one side.
    span = "since=2026-02-28T11:59:00Z&until=2026-02-28T12:01:00Z"
    assert paths(await asked(api, f"{noon}&{span}&limit=50")) == [1, 0, -1, -2]
    assert paths(await asked(api, f"{noon}&token_name!=claude")) == []


async def test_what_happened_around_a_tool_call_is_asked_for_alike(api, calls, store):
    tools = [
        a_tool_call(created_at=NOON + timedelta(minutes=number), tool=f"tool-{number}")
        for number in (-6, -1, 0, 1, 6)
    ]
    await store.append_invocations(tools)

    told = await asked(api, f"{ALL}/invocations?around={tools[2].id}")
    assert [call["tool"] for call in told] == ["tool-1", "tool-0", "tool--1"]
    assert len(await asked(api, f"{ALL}?around={tools[2].id}")) == 20
    near = await asked(api, f"{ALL}/invocations?around={calls['/3'].id}&limit=1")
    assert [call["tool"] for call in near] == ["tool-1"]


async def test_around_nothing_is_refused(api, calls):
    [problem] = (await asked(api, f"{ALL}?around={NOBODY}", 422))["detail"]
    assert (problem["loc"], problem["msg"]) == (
        ["query", "around"],
        "No entry or tool call has this id",
    )
