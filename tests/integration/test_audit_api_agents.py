"""Agents: their sessions, and the entries and tool calls of one of them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from audit_log.record import Invocation, Origin, ToolOutcome, new_record_id
from tests.neighbours.audit_api import ALL, NOBODY, asked, asking_as_admin, record

NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)
FIRST, SECOND = uuid4(), uuid4()


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


async def walked(api, path):
    """Return the responses of all pages."""
    pages = []
    while path is not None:
        async with api.get(path) as response:
            pages.append(await response.json())
            following = response.links.get("next")
            path = following and following["url"].relative()
    return pages


def call(minute: int = 0, **fields: Any) -> Invocation:
    ordinary: dict[str, Any] = {
        "id": new_record_id(),
        "created_at": NOON + timedelta(minutes=minute),
        "tool": "list_clusters",
        "outcome": ToolOutcome.OK,
        "status_code": 200,
        "origin": Origin.MCP,
        "instance": "test",
        "token_name": "claude",
        "session": FIRST,
        "client_name": "claude-code",
        "client_version": "2.1.7",
        "protocol_version": "2025-11-25",
        "user_agent": "node",
        "client_ip": "192.0.2.7",
    }
    return Invocation(**(ordinary | fields))


@pytest.fixture
async def calls(store):
    """Three calls of a session, two of another token's, one of none."""
    other: dict[str, Any] = {"session": SECOND, "client_name": "cursor", "token_name": "ci"}
    modern: dict[str, Any] = {"session": None, "protocol_version": "2026-07-28"}
    calls = [
        call(0, client_name=None, client_version=None, api_calls=2),
        call(1, principal="anna", protocol_version="2025-06-18", **other),
        call(2, outcome=ToolOutcome.TOOL_ERROR, status_code=500, tool="deploy"),
        call(3, api_calls=1, client_ip="192.0.2.8"),
        call(4, **other),
        call(5, **modern),
    ]
    await store.append_invocations(calls)
    return calls


async def test_sessions_are_told_last_used_first(api, calls):
    second, first = await asked(api, f"{ALL}/sessions")
    assert first == {
        "id": str(FIRST),
        "token_id": None,
        "token_name": "claude",
        # The first call knew nothing of its client: another worker, or a restart.
        "client_name": "claude-code",
        "client_version": "2.1.7",
        "protocol_version": "2025-11-25",
        "user_agent": "node",
        "client_ip": "192.0.2.8",
        "first_call": "2026-02-28T12:00:00+00:00",
        "last_call": "2026-02-28T12:03:00+00:00",
        "tool_calls": 3,
        "api_calls": 3,
        "failures": 1,
    }
    assert (second["id"], second["tool_calls"], second["failures"]) == (str(SECOND), 2, 0)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("client_name=claude-code", [FIRST]),
        ("token_name=ci", [SECOND]),
        ("principal=anna", [SECOND]),
        ("client_version=2.1.7,2.1.8&protocol_version=2025-11-25", [SECOND, FIRST]),
        ("protocol_version!=2025-11-25", [SECOND]),
        ("tool=deploy", [FIRST]),
        ("outcome=tool_error", [FIRST]),
        ("user_agent=no", [SECOND, FIRST]),
        ("until=2026-02-28T12:02:00Z", [SECOND, FIRST]),
        ("since=2026-02-28T12:03:30Z", [SECOND]),
        ("since=2026-02-28T12:02:00Z&until=2026-02-28T12:04:00Z", [FIRST]),
        ("client_name=other", []),
        ("unknown_tokens=true", []),
    ],
)
async def test_sessions_are_found_by_their_tool_calls(api, calls, query, expected):
    found = await asked(api, f"{ALL}/sessions?{query}")
    assert [session["id"] for session in found] == list(map(str, expected))
    assert all(session["tool_calls"] == 3 for session in found if session["id"] == str(FIRST))


async def test_sessions_are_paged(api, calls):
    pages = await walked(api, f"{ALL}/sessions?limit=1")
    assert [[session["id"] for session in page] for page in pages] == [[str(SECOND)], [str(FIRST)]]


@pytest.mark.parametrize(("query", "expected"), [("", [4, 3, 2, 1, 0]), ("&tool=deploy", [3, 1])])
async def test_each_session_is_on_one_page_however_its_calls_lie_among_others(
    api, store, query, expected
):
    sessions = [uuid4() for _ in range(5)]
    await store.append_invocations(
        [
            call(minute, session=sessions[minute % 5], tool=("list", "deploy")[minute % 5 % 2])
            for minute in range(50)
        ]
    )
    pages = await walked(api, f"{ALL}/sessions?limit=2{query}")
    found = [session["id"] for page in pages for session in page]
    assert found == [str(sessions[number]) for number in expected]


async def test_a_session_is_told_from_its_first_call_to_its_last(api, store, calls):
    first, _, failed, last, *_ = calls
    api_calls = [
        record(created_at=NOON + timedelta(seconds=second), invocation_id=id_)
        for second, id_ in ((1, first.id), (2, first.id), (190, last.id), (191, uuid4()))
    ]
    await store.append(api_calls)

    pages = await walked(api, f"{ALL}/sessions/{FIRST}?limit=2")
    assert all(page["tool_calls"] == 3 for page in pages)
    told = [invocation for page in pages for invocation in page["invocations"]]
    assert [len(page["invocations"]) for page in pages] == [2, 1]
    assert [invocation["id"] for invocation in told] == [
        str(each.id) for each in (first, failed, last)
    ]
    assert [[entry["id"] for entry in each["calls"]] for each in told] == [
        [str(api_calls[0].id), str(api_calls[1].id)],
        [],
        [str(api_calls[2].id)],
    ]


async def test_a_session_that_is_not_there_is_missed(api, calls):
    assert await asked(api, f"{ALL}/sessions/{NOBODY}", 404) == {
        "detail": "There is no such session"
    }
    await asked(api, f"{ALL}/sessions/1", 422)
    cursor = (await walked_cursor(api))["cursor"]
    await asked(api, f"{ALL}/sessions/{SECOND}?cursor={cursor}", 422)


async def walked_cursor(api):
    async with api.get(f"{ALL}/sessions/{FIRST}?limit=1") as response:
        return response.links["next"]["url"].query


async def test_entries_are_found_by_the_agent_of_their_tool_call(api, store, calls):
    first, other, *_ = calls
    mine = record(invocation_id=first.id, path="/api/v1/clusters/1")
    theirs = record(invocation_id=other.id, path="/api/v1/clusters/2")
    await store.append([mine, theirs, record(), record(invocation_id=uuid4())])

    for query, expected in {
        f"session={FIRST}": mine,
        f"session={SECOND}": theirs,
        "client_name=cursor": theirs,
        "principal=anna": theirs,
        "protocol_version=2025-06-18": theirs,
        f"client_name=cursor&session={SECOND}&method=GET": theirs,
    }.items():
        [entry] = await asked(api, f"{ALL}?{query}")
        assert entry["id"] == str(expected.id), query
        async with api.get(f"{ALL}/export?{query}") as response:
            [line] = (await response.text()).splitlines()
            assert str(expected.id) in line
            mark = response.headers["X-Audit-Mark"]
        # Its tool call arrives later, and an export in parts would leave the entry out.
        for name, value in (("after", mark), ("limit", 10)):
            refused = await asked(api, f"{ALL}/export?{query}&{name}={value}", 422)
            assert refused["detail"][0]["loc"] == ["query", name]
    assert await asked(api, f"{ALL}?client_name=cursor&session={FIRST}") == []
    # The live stream tells of an entry before its tool call is there.
    await asked(api, f"{ALL}/stream?session={FIRST}", 422)
