"""Single entries, tool calls, gaps, tokens and numbers, answered from a real table."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from audit_log.postgres.purge import apply_retention
from audit_log.record import (
    Attribution,
    Gap,
    Invocation,
    Origin,
    Outcome,
    ToolOutcome,
    new_record_id,
)
from audit_log.retention import Retention
from tests.neighbours.audit_api import ALL, GAPS, NOBODY, asked, asking_as_admin, record
from tests.neighbours.patience import eventually

NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)
ONE_BY_ONE = [
    *("id", "token_name", "method", "path", "status_code", "created_at", "token_id", "outcome"),
    *("duration_ms", "client_ip", "user_agent", "tool", "invocation_id", "attribution"),
    *("request_id", "instance", "arrived_at", "object"),
]
AGENT: dict[str, Any] = {
    "session": uuid4(),
    "protocol_version": "2025-11-25",
    "client_name": "claude-code",
    "client_version": "2.1.7",
    "user_agent": "claude-code/2.1.7 (cli)",
    "principal": "anna@example.org",
    "claims": {"com.example/run": "r-7", "step": 3, "share": 0.5},
}


UNKNOWN = dict.fromkeys(("owner", "description", "role", "created_at", "expires_at", "revoked_at"))
"""Of a token that the token query does not find."""


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


def invocation(**fields) -> Invocation:
    ordinary: dict[str, Any] = {
        "id": new_record_id(),
        "created_at": NOON,
        "tool": "list_clusters",
        "outcome": ToolOutcome.OK,
        "status_code": 200,
        "origin": Origin.MCP,
        "instance": "test",
        "token_name": "claude",
    }
    return Invocation(**(ordinary | fields))


async def test_details_come_when_asked_for(api, store):
    full = record(
        token_id=uuid4(),
        duration_ms=3.2,
        client_ip="192.0.2.7",
        user_agent="curl/8",
        tool="list_clusters",
        invocation_id=uuid4(),
        attribution=Attribution.INFERRED,
        request_id="req-1",
    )
    await store.append([full])

    [entry] = await asked(api, ALL + "?expand=details")
    assert list(entry) == ONE_BY_ONE
    assert entry["duration_ms"] == 3.2
    assert entry["attribution"] == "inferred"
    assert entry["outcome"] == "completed"
    assert await asked(api, f"{ALL}/entries/{full.id}") == entry
    [plain] = await asked(api, ALL)
    assert list(plain) == ONE_BY_ONE[:6]


async def test_what_is_unknown_is_null(api, store):
    await store.append([record()])
    [entry] = await asked(api, ALL + "?expand=details")
    assert {name for name, value in entry.items() if value is None} == {
        *("token_id", "duration_ms", "client_ip", "user_agent", "tool"),
        *("invocation_id", "attribution", "request_id", "object"),
    }


async def test_an_entry_is_found_by_its_id_however_the_clock_stood(api, store):
    now = datetime.now(UTC)
    fresh = record(created_at=now)
    astray = record(created_at=now - timedelta(days=400))
    foreign = record(id=uuid4(), created_at=now)
    await store.append([fresh, astray, foreign])

    for kept in (fresh, astray, foreign):
        assert (await asked(api, f"{ALL}/entries/{kept.id}"))["id"] == str(kept.id)
    assert await asked(api, f"{ALL}/entries/{NOBODY}", 404) == {"detail": "There is no such entry"}
    for odd in ("ffffffff-ffff-7fff-bfff-ffffffffffff", "00000000-0000-7000-8000-000000000000"):
        assert await asked(api, f"{ALL}/entries/{odd}", 404)
    await asked(api, f"{ALL}/entries/1", 422)


async def test_a_tool_call_is_told_with_its_calls_oldest_first(api, store):
    call = invocation(api_calls=2, duration_ms=40.0, error_code=-32000, request_id="7", **AGENT)
    first, second = (
        record(created_at=NOON + timedelta(seconds=second), invocation_id=call.id)
        for second in range(2)
    )
    await store.append_invocations([call, invocation()])
    await store.append([second, first, record()])

    told = await asked(api, f"{ALL}/invocations/{call.id}")
    calls = told.pop("calls")
    assert [entry["id"] for entry in calls] == [str(first.id), str(second.id)]
    assert list(calls[0]) == ONE_BY_ONE
    assert told in await asked(api, f"{ALL}/invocations")
    assert datetime.fromisoformat(told.pop("arrived_at")) > NOON
    assert told == {
        "id": str(call.id),
        "created_at": "2026-02-28T12:00:00+00:00",
        "tool": "list_clusters",
        "token_id": None,
        "token_name": "claude",
        "outcome": "ok",
        "status_code": 200,
        "duration_ms": 40.0,
        "error_code": -32000,
        "api_calls": 2,
        "rounds": 1,
        "origin": "mcp",
        "client_ip": None,
        "request_id": "7",
        **AGENT,
        "session": str(AGENT["session"]),
        "instance": "test",
    }


async def test_api_calls_after_the_end_of_their_tool_call_are_counted_where_they_are_told(
    api, store
):
    """A server may call the API in the background, once it has responded."""
    call = invocation(api_calls=1, **AGENT)
    late = [record(created_at=NOON, invocation_id=call.id) for _ in range(3)]
    await store.append_invocations([call])
    await store.append(late)

    assert (await asked(api, f"{ALL}/invocations/{call.id}"))["api_calls"] == 3
    [in_session] = (await asked(api, f"{ALL}/sessions/{call.session}"))["invocations"]
    assert in_session["api_calls"] == 3
    [in_time] = await asked(api, f"{ALL}/timeline")
    assert in_time["api_calls"] == 3


async def test_a_tool_call_that_is_not_stored_yet_is_told_from_its_calls(api, store):
    id_ = uuid4()
    await store.append([record(invocation_id=id_, tool="deploy", token_id=NOBODY)])

    told = await asked(api, f"{ALL}/invocations/{id_}")
    assert (told["tool"], told["token_id"], told["api_calls"]) == ("deploy", str(NOBODY), 1)
    assert told["outcome"] is None
    assert len(told["calls"]) == 1
    await asked(api, f"{ALL}/invocations/{NOBODY}", 404)


async def test_tool_calls_are_filtered(api, store):
    failed = invocation(
        tool="deploy", outcome=ToolOutcome.TOOL_ERROR, token_name="ci", token_id=NOBODY, **AGENT
    )
    late = invocation(created_at=NOON + timedelta(hours=1))
    await store.append_invocations([failed, late])

    for query, expected in {
        "tool=deploy": failed,
        "outcome=tool_error": failed,
        "token_name=ci": failed,
        f"token_id={NOBODY}": failed,
        f"session={AGENT['session']}": failed,
        "client_name=claude-code": failed,
        "user_agent=claude-code/2": failed,
        "user_agent=*(cli)": failed,
        "principal=anna@example.org": failed,
        "until=2026-02-28T12:30:00Z": failed,
        "since=2026-02-28T12:30:00Z": late,
    }.items():
        [told] = await asked(api, f"{ALL}/invocations?{query}")
        assert told["id"] == str(expected.id), query
    await asked(api, f"{ALL}/invocations?outcome=completed", 422)


async def test_tool_calls_and_gaps_are_told_as_events_page_by_page(api, store):
    older, newer = invocation(tool="older"), invocation(tool="newer")
    await store.append_invocations([older, newer])
    await store.append_gaps(
        [
            Gap(
                id=new_record_id(),
                started_at=older.created_at,
                ended_at=older.created_at,
                count=25_000,
                reason="journal_full",
                instance="sidecar-1",
            )
        ]
    )

    async def events(address):
        async with api.get(address) as response:
            assert response.content_type == "application/x-ndjson"
            following = response.links.get("next")
            told = list(map(json.loads, (await response.text()).splitlines()))
        return told, following and following["url"]

    [first], following = await events(f"{ALL}/invocations?format=ocsf&limit=1")
    [second], end = await events(following)
    [gap], _ = await events(f"{ALL}/gaps?format=ocsf")

    assert {first["api"]["operation"], second["api"]["operation"]} == {
        "tools/call older",
        "tools/call newer",
    }
    assert end is None
    assert (gap["class_uid"], gap["count"], gap["status_detail"]) == (1008, 25_000, "journal_full")


async def test_gaps_that_touch_the_span_are_told(api, store):
    gap = Gap(
        id=new_record_id(),
        started_at=NOON,
        ended_at=NOON + timedelta(minutes=10),
        count=37,
        reason="journal_full",
        instance="test",
    )
    await store.append_gaps([gap])
    for since, until, count in ((5, 60, 1), (11, 60, 0), (-60, 5, 1), (-60, 0, 0), (-60, 60, 1)):
        query = {
            "since": (NOON + timedelta(minutes=since)).isoformat(),
            "until": (NOON + timedelta(minutes=until)).isoformat(),
        }
        async with api.get(GAPS, params=query) as response:
            assert len(await response.json()) == count, (since, until)


async def test_tokens_are_told_last_used_first_with_what_they_did_in_30_days(api, store):
    now = datetime.now(UTC).replace(microsecond=0)
    claude, old = uuid4(), uuid4()
    await store.append(
        [
            record(token_id=claude, token_name="claude", created_at=now - timedelta(days=2)),
            record(token_id=claude, token_name="renamed", created_at=now, status_code=403),
            record(
                token_id=claude,
                created_at=now - timedelta(days=1),
                status_code=401,
                outcome=Outcome.REFUSED,
            ),
            record(token_id=old, token_name="old", created_at=now - timedelta(days=40)),
            record(token_name="Hub Tunnel (hub)", created_at=now - timedelta(hours=1)),
            record(token_name="Unknown token (1)", created_at=now - timedelta(days=40)),
        ]
    )

    assert await asked(api, ALL + "/tokens") == [
        {
            "token_name": "renamed",
            "token_id": str(claude),
            "last_used": now.isoformat(),
            "calls_30d": 3,
            "refused_30d": 2,
            "unknown_tokens": None,
            **UNKNOWN,
        },
        {
            "token_name": "Hub Tunnel (hub)",
            "token_id": None,
            "last_used": (now - timedelta(hours=1)).isoformat(),
            "calls_30d": 1,
            "refused_30d": 0,
            "unknown_tokens": None,
            **UNKNOWN,
        },
        {
            "token_name": "old",
            "token_id": str(old),
            "last_used": (now - timedelta(days=40)).isoformat(),
            "calls_30d": 0,
            "refused_30d": 0,
            "unknown_tokens": None,
            **UNKNOWN,
        },
    ]


async def test_unknown_tokens_are_one_and_displace_no_other(api, store):
    now = datetime.now(UTC).replace(microsecond=0)
    real = [uuid4() for _ in range(600)]
    await store.append(
        [
            *(record(token_id=id_, created_at=now - timedelta(days=9)) for id_ in real),
            record(token_name="Hub Tunnel (hub)", created_at=now - timedelta(days=8)),
            *(
                record(
                    token_name=f"Unknown token ({number:08x})",
                    created_at=now - timedelta(minutes=number % 7),
                    status_code=401,
                    outcome=Outcome.REFUSED,
                )
                for number in (*range(2_500), 7)
            ),
        ]
    )

    unknown, hub, *known = await asked(api, ALL + "/tokens")
    assert unknown == {
        "token_name": "Unknown tokens",
        "token_id": None,
        "last_used": now.isoformat(),
        "calls_30d": 2_501,
        "refused_30d": 2_501,
        "unknown_tokens": 2_500,
        **UNKNOWN,
    }
    assert (hub["token_name"], hub["unknown_tokens"]) == ("Hub Tunnel (hub)", None)
    assert {token["token_id"] for token in known} == {str(id_) for id_ in real}

    found = await asked(api, f"{ALL}?unknown_tokens=true&limit=500")
    assert len(found) == 500
    assert {entry["token_name"][:13] for entry in found} == {"Unknown token"}
    found = await asked(api, f"{ALL}?unknown_tokens=false&limit=1")
    assert [entry["token_name"] for entry in found] == ["Hub Tunnel (hub)"]


async def test_no_tokens_are_an_empty_array(api):
    assert await asked(api, ALL + "/tokens") == []


async def test_calls_are_counted_by_time_and_class_of_status_with_zeros_between(api, store):
    await store.append(
        [
            record(status_code=status, created_at=NOON + timedelta(minutes=minute))
            for minute, status in ((0, 200), (1, 204), (59, 301), (60, 404), (61, 500), (180, 0))
        ]
    )
    query = "bucket=hour&since=2026-02-28T12:00:00Z&until=2026-02-28T16:00:00Z"
    none = {"2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, "other": 0, "refused": 0}
    expected = [
        {"start": "2026-02-28T12:00:00+00:00", **none, "2xx": 2, "3xx": 1},
        {"start": "2026-02-28T13:00:00+00:00", **none, "4xx": 1, "5xx": 1},
        {"start": "2026-02-28T14:00:00+00:00", **none},
        {"start": "2026-02-28T15:00:00+00:00", **none, "other": 1},
    ]
    assert await asked(api, f"{ALL}/stats?{query}") == expected
    [_, second, *_] = await asked(api, f"{ALL}/stats?{query}&status=5xx")
    assert second == {**expected[1], "4xx": 0}


async def test_a_span_that_begins_within_a_bucket_counts_from_there(api, store):
    await store.append(
        [record(created_at=NOON + timedelta(minutes=minute)) for minute in (0, 30, 45)]
    )
    told = await asked(
        api, ALL + "/stats?since=2026-02-28T12:30:00Z&until=2026-02-28T12:40:00Z&bucket=day"
    )
    assert [(bucket["start"], bucket["2xx"]) for bucket in told] == [
        ("2026-02-28T00:00:00+00:00", 1)
    ]
    assert (
        await asked(api, ALL + "/stats?since=2026-02-28T12:30:00Z&until=2026-02-27T12:30:00Z")
        == []
    )


async def test_growth_is_told_with_the_retention_that_is_applied(api, store, database):
    size = await size_of_log(database)  # before the question is recorded
    assert await asked(api, ALL + "/growth") == {
        "records": 0,
        "bytes": size,
        "oldest": None,
        "records_per_day": None,
        "bytes_per_day": None,
        "retention_days": None,
        "max_bytes": None,
        "days_until_budget": None,
    }
    now = datetime.now(UTC)
    await store.append([record(created_at=now - timedelta(hours=hour)) for hour in range(1, 241)])
    await database.execute("ANALYZE mcp_audit_log")
    await apply_retention(database, Retention(max_bytes=10**9))
    [row] = await database.fetch("SELECT min(created_at) AS oldest FROM mcp_audit_log")

    # It is remembered for twenty times as long as it took.
    growth = await eventually(lambda: grown(api))

    assert growth["oldest"] == row["oldest"].astimezone(UTC).isoformat()
    assert growth["records_per_day"] == pytest.approx(24, rel=0.2)
    assert growth["bytes_per_day"] > 0
    assert growth["max_bytes"] == 10**9
    assert growth["days_until_budget"] > 100


async def grown(api) -> dict[str, Any] | None:
    growth: dict[str, Any] = await asked(api, ALL + "/growth")
    return growth if growth["records"] == 240 else None


async def size_of_log(database) -> int:
    [row] = await database.fetch("SELECT sum(bytes) FROM mcp_audit_extent()")
    return int(row[0])
