"""Tool calls and API calls on one timeline: each call once, API calls with their tool call."""

from datetime import UTC, datetime, timedelta

import pytest

from audit_api.client.audit_client import open_client
from audit_api.client.shapes import EntryInTime, ToolCallInTime
from audit_log.postgres.token_table import TokenTable
from audit_log.record import Attribution, ToolOutcome, new_record_id
from tests.neighbours.audit_api import ALL, asked, asking_as_admin, record, url_of_audit_api
from tests.neighbours.console import console
from tests.neighbours.records import a_tool_call

NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


@pytest.fixture
async def day(store):
    """Three tool calls with API calls, calls between them, and one whose tool call goes on."""
    tools = [
        a_tool_call(created_at=NOON + timedelta(minutes=number), tool=f"tool-{number}")
        for number in (0, 10, 20)
    ]
    tools[1] = a_tool_call(
        created_at=NOON + timedelta(minutes=10),
        tool="tool-10",
        outcome=ToolOutcome.TOOL_ERROR,
        status_code=500,
    )
    made = [
        record(
            created_at=call.created_at + timedelta(seconds=1 + number),
            path=f"/{call.tool}/{number}",
            tool=call.tool,
            invocation_id=call.id,
            attribution=Attribution.INFERRED if number else Attribution.EXACT,
        )
        for call in tools
        for number in range(2)
    ]
    alone = [
        record(created_at=NOON + timedelta(minutes=number), path=f"/alone/{number}")
        for number in (-5, 5, 15, 25)
    ]
    goes_on = record(
        created_at=NOON + timedelta(minutes=30), path="/goes-on", invocation_id=new_record_id()
    )
    await store.append([*made, *alone, goes_on])
    await store.append_invocations(tools)
    return tools, made


def told(items):
    """Return each item by its tool and the paths of its API calls, or by its path."""
    return [
        (item["tool"], [call["path"] for call in item["calls"]])
        if item["kind"] == "tool_call"
        else item["path"]
        for item in items
    ]


WHOLE = [
    "/goes-on",
    "/alone/25",
    ("tool-20", ["/tool-20/0", "/tool-20/1"]),
    "/alone/15",
    ("tool-10", ["/tool-10/0", "/tool-10/1"]),
    "/alone/5",
    ("tool-0", ["/tool-0/0", "/tool-0/1"]),
    "/alone/-5",
]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_any_length_tell_each_call_once_with_its_tool_call(api, day, limit):
    items, address = [], f"{ALL}/timeline?limit={limit}"
    while address:
        async with api.get(address) as response:
            page = await response.json()
            assert len(page) <= limit
            items += page
            address = str(response.links.get("next", {}).get("url", ""))

    assert told(items) == WHOLE
    [first] = [each for each in items if each.get("tool") == "tool-0"]
    assert [call["attribution"] for call in first["calls"]] == ["exact", "inferred"]


async def test_a_call_that_matches_is_told_even_if_its_tool_call_does_not(api, day):
    failed = f"{ALL}/timeline?status=200&since=2026-02-28T12:10:00Z&until=2026-02-28T12:20:00Z"
    assert told(await asked(api, failed)) == ["/alone/15", "/tool-10/1", "/tool-10/0"]
    late = f"{ALL}/timeline?until=2026-02-28T12:10:02Z&since=2026-02-28T12:10:01Z"
    assert told(await asked(api, late)) == ["/tool-10/0"]
    tools, _ = day
    one = f"{ALL}/timeline?invocation_id={tools[0].id}"
    assert told(await asked(api, one)) == [WHOLE[6]]


async def test_the_timeline_is_told_around_a_call_that_stands_with_its_tool_call(api, day):
    tools, made = day
    for id_ in (made[3].id, tools[1].id):
        items = await asked(api, f"{ALL}/timeline?around={id_}&limit=3")
        assert WHOLE[4] in told(items)
        assert len(items) <= 3
    near = await asked(api, f"{ALL}/timeline?around={made[3].id}")
    assert told(near) == ["/alone/15", WHOLE[4]]


async def test_client_and_terminal_tell_the_timeline(database, database_url, day, tmp_path):
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    async with url_of_audit_api(database_url) as url:
        async with open_client(url, secret) as client:
            items = [item async for item in client.timeline(limit=3)]
        at = {"PODWARDEN_AUDIT_URL": url, "PODWARDEN_AUDIT_TOKEN": secret}
        shown = await console("query", "--timeline", "--limit", "3", directory=tmp_path, **at)
        raw = await console("query", "--timeline", "--json", directory=tmp_path, **at)

    assert [type(item) for item in items] == [EntryInTime, EntryInTime, ToolCallInTime]
    assert isinstance(items[2], ToolCallInTime)
    assert [call.path for call in items[2].calls] == ["/tool-20/0", "/tool-20/1"]
    assert shown.code == 0, shown
    marks = [line[42:90].rstrip() for line in shown.lines[1:]]
    assert marks == [
        *("GET /goes-on", "GET /alone/25", "tool-20"),
        *("  > GET /tool-20/0", "  ~ GET /tool-20/1"),
    ]
    assert len(raw.lines) == len(WHOLE)
