"""The filters: PostgreSQL and `RecordFilter.matches` must find the same records."""

from datetime import timedelta
from ipaddress import ip_network
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from audit_log.filters import Among, RecordFilter, ToolCallFilter, none_of, one_of
from audit_log.postgres.invocations import InvocationQuery, search_invocations
from audit_log.postgres.rows import Place
from audit_log.postgres.search import FEW, RecordQuery, search
from audit_log.record import Outcome, ToolOutcome
from tests.neighbours.records import ARRIVAL, a_record, a_tool_call

TOKEN, INVOCATION = uuid4(), uuid4()
LATE = ARRIVAL + timedelta(hours=1)
ARRIVED = "UPDATE mcp_audit_log SET arrived_at = $2 WHERE id = $1"
RECORDS = [
    a_record(
        token_id=TOKEN, token_name="claude", method="POST", path="/api/v1/hosts", arrived_at=LATE
    ),
    a_record(
        status_code=401,
        outcome=Outcome.REFUSED,
        path="/api/v1/hosts/1/logs",
        arrived_at=LATE + timedelta(hours=1),
    ),
    a_record(
        status_code=404,
        client_ip="10.1.2.3",
        path="/api/v1/100%_sure",
        arrived_at=ARRIVAL - timedelta(seconds=6),
    ),
    a_record(status_code=0, client_ip="2001:db8::7", path="/API/v1/hosts"),
    a_record(tool="list_clusters", invocation_id=INVOCATION, path="/api/v1/clusters\\x"),
    a_record(
        created_at=ARRIVAL + timedelta(hours=1),
        path="/api/v1/host",
        request_id="req-1",
        instance="sidecar-2",
        user_agent="claude-code/2.1.7 (cli, linux)",
        duration_ms=1500,
    ),
    a_record(token_name="Unknown token (1a2b3c4d)", path="/x", duration_ms=12.5),
    a_record(token_id=uuid4(), token_name="Unknown token (of mine)", path="/x"),
    a_record(token_name="unknown token (x", path="/x"),
]
FILTERS = {
    "token_name": (RecordFilter(token_name=one_of("claude")), [0]),
    "token_id": (RecordFilter(token_id=one_of(TOKEN)), [0]),
    "unknown tokens": (RecordFilter(unknown_tokens=True), [6]),
    "no unknown tokens": (RecordFilter(unknown_tokens=False), [0, 1, 2, 3, 4, 5, 7, 8]),
    "method": (RecordFilter(method=one_of("POST")), [0]),
    "method in small letters": (RecordFilter(method=one_of("post")), []),
    "status": (RecordFilter(status=one_of(range(401, 402))), [1]),
    "status 0": (RecordFilter(status=one_of(range(1))), [3]),
    "status class": (RecordFilter(status=one_of(range(400, 500))), [1, 2]),
    "outcome": (RecordFilter(outcome=one_of(Outcome.REFUSED)), [1]),
    "path prefix": (RecordFilter(path=one_of("/api/v1/hosts")), [0, 1]),
    "path pattern": (RecordFilter(path=one_of("/api/v1/*/logs")), [1]),
    "path pattern to the end": (RecordFilter(path=one_of("*hosts")), [0, 3]),
    "path pattern of nothing else": (RecordFilter(path=one_of("/api/v1/host*s")), [0, 1]),
    "path with signs of LIKE": (RecordFilter(path=one_of("/api/v1/100%_")), [2]),
    "path with other signs of LIKE": (RecordFilter(path=one_of("/api/v1/%")), []),
    "path with a backslash": (RecordFilter(path=one_of("/api/v1/clusters\\")), [4]),
    "tool": (RecordFilter(tool=one_of("list_clusters")), [4]),
    "invocation": (RecordFilter(invocation_id=one_of(INVOCATION)), [4]),
    "network": (RecordFilter(client_ip=one_of(ip_network("10.0.0.0/8"))), [2]),
    "address": (RecordFilter(client_ip=one_of(ip_network("2001:db8::7"))), [3]),
    "since": (RecordFilter(since=ARRIVAL + timedelta(hours=1)), [5]),
    "until": (RecordFilter(until=ARRIVAL + timedelta(hours=1)), [0, 1, 2, 3, 4, 6, 7, 8]),
    "arrived since": (RecordFilter(arrived_since=LATE), [0, 1]),
    "arrived until": (RecordFilter(arrived_until=LATE), [2]),
    "clock ahead": (RecordFilter(clock_ahead=True), [2]),
    "clock not ahead": (RecordFilter(clock_ahead=False), [0, 1, 3, 4, 5, 6, 7, 8]),
    "two methods": (RecordFilter(method=one_of("POST", "DELETE")), [0]),
    "no such method": (RecordFilter(method=none_of("GET")), [0]),
    "no such tool, where there is none": (
        RecordFilter(tool=none_of("list_clusters")),
        [0, 1, 2, 3, 5, 6, 7, 8],
    ),
    "several status codes": (RecordFilter(status=one_of(range(1), range(400, 500))), [1, 2, 3]),
    "no refusal": (RecordFilter(status=none_of(range(400, 500), range(1))), [0, 4, 5, 6, 7, 8]),
    "one and not another": (
        RecordFilter(path=Among(("/api/v1/hosts",), ("*/logs",))),
        [0],
    ),
    "networks": (
        RecordFilter(client_ip=one_of(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))),
        [2, 3],
    ),
    "no network": (
        RecordFilter(client_ip=none_of(ip_network("10.0.0.0/8"))),
        [0, 1, *range(3, 9)],
    ),
    "changes": (RecordFilter(changes=True), [0]),
    "no changes": (RecordFilter(changes=False), [*range(1, 9)]),
    "refused": (RecordFilter(refused=True), [1]),
    "not refused": (RecordFilter(refused=False), [0, *range(2, 9)]),
    "request id": (RecordFilter(request_id=one_of("req-1", "req-2")), [5]),
    "instance": (RecordFilter(instance=one_of("sidecar-2")), [5]),
    "no instance": (RecordFilter(instance=none_of("sidecar-1")), [5]),
    "user agent": (RecordFilter(user_agent=one_of("claude-code/")), [5]),
    "no user agent": (RecordFilter(user_agent=none_of("claude-code/")), [0, 1, 2, 3, 4, 6, 7, 8]),
    "longer": (RecordFilter(least_ms=1500), [5]),
    "longer by a little": (RecordFilter(least_ms=1500.0000001), []),
    "shorter": (RecordFilter(most_ms=20), [6]),
    "object": (RecordFilter(object=one_of("hosts/1")), [1]),
    "object and what is below": (RecordFilter(object=one_of("hosts", "clusters")), [0, 1]),
    "no object": (RecordFilter(object=none_of("hosts")), [*range(2, 9)]),
    "object from the root": (RecordFilter(object=one_of("/API/v1")), [3]),
    "object with signs of LIKE": (RecordFilter(object=one_of("100%_sure")), [2]),
    "two": (RecordFilter(path=one_of("/api/v1/hosts"), status=one_of(range(401, 402))), [1]),
    "two that exclude one another": (
        RecordFilter(method=one_of("POST"), tool=one_of("list_clusters")),
        [],
    ),
}


@pytest.mark.parametrize(("wanted", "expected"), FILTERS.values(), ids=FILTERS)
async def test_a_filter_finds_what_it_says_in_the_table_and_live(
    store, database, wanted, expected
):
    await store.append(RECORDS)
    await database.execute("UPDATE mcp_audit_log SET arrived_at = NULL")
    for record in RECORDS[:3]:
        await database.execute(ARRIVED, record.id, record.arrived_at)

    found = {record.id for record in await search(database, RecordQuery(filter=wanted))}
    assert found == {RECORDS[number].id for number in expected}
    assert [wanted.matches(record) for record in RECORDS] == [
        record.id in found for record in RECORDS
    ]


PATHS = st.text(alphabet="ab/*%_\\", max_size=8)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
async def test_any_pattern_means_the_same_in_the_table_and_live(store, database, data):
    path = data.draw(PATHS.map(lambda text: "/" + text.replace("*", "")))
    caused_by = UUID(int=data.draw(st.integers(0, 2**100)))
    record = a_record(path=path, invocation_id=caused_by)
    wanted = RecordFilter(
        path=one_of(data.draw(PATHS.filter(bool))), invocation_id=one_of(caused_by)
    )
    await store.append([record])

    found = await search(database, RecordQuery(filter=wanted))
    assert wanted.matches(record) == (record.id in {one.id for one in found})


OBJECTS = {
    "itself": ("/api/v1/clusters/12", True),
    "below": ("/api/v1/clusters/12/nodes/7", True),
    "with a slash": ("/api/v1/clusters/12/", True),
    "longer": ("/api/v1/clusters/120", False),
    "longer, below": ("/api/v1/clusters/120/nodes", False),
    "elsewhere": ("/api/v2/clusters/12", False),
    "above": ("/api/v1/clusters", False),
    "inside": ("/api/v1/hosts/clusters/12", False),
    "an encoded digit": ("/api/v1/clusters/%31%32", True),
    "an encoded slash": ("/api/v1/clusters%2f12%2Fnodes", True),
    "another encoded digit": ("/api/v1/clusters/12%30", False),
    "encoded twice": ("/api/v1/clusters/%2531%32", False),
    "not encoded at all": ("/api/v1/clusters/12%", False),
}


@pytest.mark.parametrize(("path", "is_of_it"), OBJECTS.values(), ids=OBJECTS)
async def test_an_object_is_found_by_its_path_and_what_is_below_however_it_is_written(
    store, database, path, is_of_it
):
    record, wanted = a_record(path=path), RecordFilter(object=one_of("clusters/12"))
    await store.append([record])

    found = await search(database, RecordQuery(filter=wanted))
    assert [one.id for one in found] == [record.id] * is_of_it
    assert wanted.matches(record) == is_of_it


ODD = st.text(alphabet="a1%/.+é \\_*", min_size=1, max_size=6)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ODD, ODD)
@example("%11", "%11")
@example("%25", "%2525")
@example("%1", "%1")
async def test_an_object_of_odd_signs_is_the_same_in_the_table_and_live(
    store, database, name, path
):
    caused_by = uuid4()
    record = a_record(path=f"/api/v1/{path}", invocation_id=caused_by)
    wanted = RecordFilter(object=one_of(name), invocation_id=one_of(caused_by))
    await store.append([record])

    found = await search(database, RecordQuery(filter=wanted))
    assert wanted.matches(record) == (record.id in {one.id for one in found})


CALLS = [
    a_tool_call(
        tool="list_clusters",
        session=INVOCATION,
        client_name="claude-code",
        client_version="2.1.7",
        protocol_version="2025-11-25",
    ),
    a_tool_call(tool="deploy", principal="anna", duration_ms=2_000.0, status_code=500),
    a_tool_call(
        tool="deploy", client_ip="10.1.2.3", user_agent="x/1", outcome=ToolOutcome.TOOL_ERROR
    ),
]
TOOL_FILTERS = {
    "tools": (ToolCallFilter(tool=one_of("deploy", "other")), [1, 2]),
    "session": (ToolCallFilter(session=one_of(INVOCATION)), [0]),
    "no client": (ToolCallFilter(client_name=none_of("claude-code")), [1, 2]),
    "client version": (ToolCallFilter(client_version=one_of("2.1.7", "2.1.8")), [0]),
    "no version": (ToolCallFilter(protocol_version=none_of("2025-11-25")), [1, 2]),
    "principal": (ToolCallFilter(principal=one_of("anna")), [1]),
    "status": (ToolCallFilter(status=one_of(range(500, 600))), [1]),
    "outcome": (ToolCallFilter(outcome=none_of("ok")), [2]),
    "network": (ToolCallFilter(client_ip=one_of(ip_network("10.0.0.0/8"))), [2]),
    "user agent": (ToolCallFilter(user_agent=one_of("x*1")), [2]),
    "long": (ToolCallFilter(least_ms=1_000), [1]),
}


@pytest.mark.parametrize(("wanted", "expected"), TOOL_FILTERS.values(), ids=TOOL_FILTERS)
async def test_a_filter_of_tool_calls_finds_what_it_says(store, database, wanted, expected):
    await store.append_invocations(CALLS)

    found = await search_invocations(database, InvocationQuery(limit=9, filter=wanted))
    assert {call.id for call in found} == {CALLS[number].id for number in expected}
    assert [number for number, call in enumerate(CALLS) if wanted.matches(call)] == expected


@pytest.mark.parametrize("others", [0, FEW], ids=["rare", "common"])
async def test_the_newest_of_a_prefix_come_first_and_go_on_where_the_page_ended(
    store, database, others
):
    """What has a prefix is counted first: few are sorted, many are found by time."""
    calls = [
        a_record(path=f"/api/v1/rare/{number}", created_at=ARRIVAL + timedelta(minutes=1 + number))
        for number in range(5)
    ]
    await store.append([*calls, *(a_record(path="/api/v1/rare") for _ in range(others))])
    wanted = RecordFilter(path=one_of("/api/v1/rare"), since=ARRIVAL)
    newest = await search(database, RecordQuery(limit=3, filter=wanted))
    assert [each.path for each in newest] == [calls[number].path for number in (4, 3, 2)]
    older = RecordQuery(limit=2, filter=wanted, before=Place.of(newest[-1]))
    assert [each.path for each in await search(database, older)] == [calls[1].path, calls[0].path]
