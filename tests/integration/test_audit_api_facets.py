"""What occurs most: values with their calls, compared with the period before."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from audit_log.record import Outcome
from tests.neighbours.audit_api import ALL, asked, asking_as_admin, record
from tests.neighbours.records import a_tool_call

NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)
DAY = "since=2026-02-28T00:00:00Z&until=2026-03-01T00:00:00Z"
TOKEN, SESSION = UUID(int=0xC1), UUID(int=0x5E)
CALL = a_tool_call(session=SESSION, client_name="claude-code")


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


@pytest.fixture
async def day(store):
    """A day of calls, one of the day before, and a tool call in a session."""
    of_token = {"token_id": TOKEN, "token_name": "ci, eu", "created_at": NOON}
    of_tool = {"tool": "deploy", "invocation_id": CALL.id, "created_at": NOON}
    await store.append_invocations([CALL])
    await store.append(
        [
            record(path="/api/v1/clusters/12", method="DELETE", **of_token),
            record(path="/api/v1/clusters/12/nodes/7", method="POST", status_code=403, **of_token),
            record(path="/api/v1/clusters/%31%32", client_ip="10.0.0.7", **of_token),
            record(path="/api/v1/clusters/120", status_code=502, **of_tool),
            record(path="/api/v1/clusters", created_at=NOON),
            record(
                token_name="Unknown token (1a2b3c4d)",
                status_code=401,
                outcome=Outcome.REFUSED,
                path="/api/v1/hosts",
                created_at=NOON + timedelta(hours=1),
            ),
            record(path="/api/v1/clusters/12", created_at=NOON - timedelta(days=1)),
        ]
    )


def counts(told: list[Mapping[str, Any]]) -> dict[Any, int]:
    return {each["value"]: each["calls"] for each in told}


EXPECTED = {
    "token": {"ci, eu": 3, "claude": 2, "Unknown tokens": 1},
    "tool": {None: 5, "deploy": 1},
    "path_template": {
        "/api/v1/clusters/{id}": 3,
        "/api/v1/clusters/{id}/nodes/{id}": 1,
        "/api/v1/clusters": 1,
        "/api/v1/hosts": 1,
    },
    "client": {None: 5, "10.0.0.7": 1},
    "status": {"200": 3, "403": 1, "502": 1, "401": 1},
    "session": {None: 5, "claude-code": 1},
    "object": {"clusters/12": 3, "clusters/120": 1},
}


@pytest.mark.parametrize("by", EXPECTED)
async def test_values_are_counted_most_calls_first_and_lead_to_their_calls(api, day, by):
    async with api.get(f"{ALL}/stats?by={by}&{DAY}") as response:
        told = await response.json()
        assert response.headers["X-Audit-Total"] == "6"
        assert response.headers["X-Audit-Period"] == (
            "2026-02-28T00:00:00+00:00/2026-03-01T00:00:00+00:00"
        )
    assert counts(told) == EXPECTED[by]
    assert [each["calls"] for each in told] == sorted(
        (each["calls"] for each in told), reverse=True
    )
    for each in told:
        if each["filter"] is not None and by != "path_template":
            query = "&".join(f"{name}={value}" for name, value in each["filter"].items())
            assert len(await asked(api, f"{ALL}?{DAY}&{query}")) == each["calls"]


async def test_the_most_changed_objects_are_told_with_what_was_refused_and_when(api, day):
    [changed] = await asked(api, f"{ALL}/stats?by=object&changes=true&{DAY}")
    assert changed == {
        "value": "clusters/12",
        "filter": {"object": "clusters/12"},
        "calls": 2,
        "changes": 2,
        "refused": 1,
        "failed": 0,
        "before": None,
        "first": "2026-02-28T12:00:00+00:00",
        "last": "2026-02-28T12:00:00+00:00",
    }


async def test_the_period_before_is_told_when_asked_for(api, day):
    told = await asked(api, f"{ALL}/stats?by=object&compare=true&{DAY}")
    assert [(each["value"], each["calls"], each["before"]) for each in told] == [
        ("clusters/12", 3, 1),
        ("clusters/120", 1, 0),
    ]


@pytest.mark.parametrize("by", EXPECTED)
async def test_a_time_before_all_times_has_no_values(api, day, by):
    assert await asked(api, f"{ALL}/stats?by={by}&until=0001-01-01") == []


async def test_only_so_many_values_are_told_as_are_asked_for(api, store):
    await store.append([record(path=f"/api/v1/hosts/{n}", created_at=NOON) for n in range(30)])
    assert len(await asked(api, f"{ALL}/stats?by=object&{DAY}")) == 10
    assert len(await asked(api, f"{ALL}/stats?by=object&limit=3&{DAY}")) == 3


async def test_paths_that_differ_in_numbers_have_one_template_and_words_with_digits_their_own(
    api, store
):
    paths = [
        "/x/1",
        "/x/23",
        "/x/",
        "/x",
        "/x/ipv4",
        "/x/ipv6",
        "/x/ipv7",
        "/x/n-1",
        "/7",
        "7",
        "",
    ]
    await store.append([record(path=path, created_at=NOON) for path in paths])
    told = await asked(api, f"{ALL}/stats?by=path_template&limit=20&{DAY}")
    assert counts(told) == {
        "/x/{id}": 4,
        "/x/": 1,
        "/x": 1,
        "/x/ipv4": 1,
        "/x/ipv6": 1,
        "/{id}": 1,
        "{id}": 1,
        "": 1,
    }


async def test_calls_of_a_client_without_sessions_are_of_no_session(api, store):
    of_none = a_tool_call(client_name="deploy-bot", created_at=NOON)
    await store.append_invocations([of_none])
    await store.append([record(created_at=NOON, invocation_id=of_none.id, tool="deploy")])
    [told] = await asked(api, f"{ALL}/stats?by=session&since=2026-01-01T00:00:00Z")
    assert (told["value"], told["filter"], told["calls"]) == (None, None, 1)


async def test_a_call_is_of_the_session_of_its_tool_call_however_long_ago_that_began(api, store):
    begun = a_tool_call(
        session=SESSION, client_name="claude-code", created_at=NOON - timedelta(days=9)
    )
    unknown = UUID(int=0xAB5E27)
    await store.append_invocations([begun])
    await store.append(
        [record(invocation_id=id_, created_at=NOON) for id_ in (begun.id, begun.id, unknown)]
    )
    told = await asked(api, f"{ALL}/stats?by=session&{DAY}")
    assert counts(told) == {"claude-code": 2, None: 1}
    assert told[0]["filter"] == {"session": str(SESSION)}


@pytest.mark.parametrize("by", ["client", "object"])
async def test_of_many_values_those_with_the_most_calls_are_told_with_all_that_is_counted(
    api, store, by
):
    """Values with as many calls come in the order of their texts."""
    calls = [(9, 3), (8, 2), (7, 2), (10, 2)]
    await store.append(
        [
            record(
                client_ip=f"10.0.0.{number}",
                path=f"/api/v1/hosts/{number}",
                method="DELETE" if nth else "GET",
                created_at=NOON + timedelta(minutes=nth),
            )
            for number, times in calls
            for nth in range(times)
        ]
    )
    told = await asked(api, f"{ALL}/stats?by={by}&limit=2&compare=true&{DAY}")
    names = {"client": "10.0.0.{}", "object": "hosts/{}"}
    assert [each["value"] for each in told] == [names[by].format(each) for each in (9, 10)]
    assert [(each["calls"], each["changes"], each["before"]) for each in told] == [
        (3, 2, 0),
        (2, 1, 0),
    ]
    assert told[0]["last"] == "2026-02-28T12:02:00+00:00"


@pytest.mark.parametrize(
    ("query", "name"), [("by=token&bucket=day", "bucket"), ("limit=3", "limit"), ("by=x", "by")]
)
async def test_what_says_nothing_beside_the_rest_is_refused(api, query, name):
    told = await asked(api, f"{ALL}/stats?{query}", status=422)
    assert told["detail"][0]["loc"] == ["query", name]


async def test_an_entry_names_its_object(api, day):
    found = await asked(api, f"{ALL}?expand=details&object=clusters/120")
    assert [entry["object"] for entry in found] == ["clusters/120"]
    assert await asked(api, f"{ALL}?object=clusters/{uuid4()}") == []


async def test_all_time_is_counted_in_buckets_that_fit(api, day, store):
    await store.append([record(created_at=NOON - timedelta(days=2_000))])
    async with api.get(f"{ALL}/stats?bucket=auto&zone=Europe/Berlin") as response:
        told = await response.json()
        assert response.headers["X-Audit-Bucket"] == "month"
    assert sum(each["2xx"] + each["4xx"] + each["5xx"] for each in told) == 8
    assert sum(each["refused"] for each in told) == 2
    told = await asked(api, f"{ALL}/invocations/stats?bucket=auto&tool=list_clusters")
    assert sum(each["2xx"] for each in told) == 1
