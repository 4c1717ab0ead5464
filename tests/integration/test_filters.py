"""The filters: PostgreSQL and `RecordFilter.matches` must find the same records."""

from datetime import timedelta
from ipaddress import ip_network
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_log.filters import RecordFilter
from audit_log.postgres.search import RecordQuery, search
from audit_log.record import Outcome
from tests.neighbours.records import ARRIVAL, a_record

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
    a_record(created_at=ARRIVAL + timedelta(hours=1), path="/api/v1/host"),
    a_record(token_name="Unknown token (1a2b3c4d)", path="/x"),
    a_record(token_id=uuid4(), token_name="Unknown token (of mine)", path="/x"),
    a_record(token_name="unknown token (x", path="/x"),
]
FILTERS = {
    "token_name": (RecordFilter(token_name="claude"), [0]),
    "token_id": (RecordFilter(token_id=TOKEN), [0]),
    "unknown tokens": (RecordFilter(unknown_tokens=True), [6]),
    "no unknown tokens": (RecordFilter(unknown_tokens=False), [0, 1, 2, 3, 4, 5, 7, 8]),
    "method": (RecordFilter(method="POST"), [0]),
    "method in small letters": (RecordFilter(method="post"), []),
    "status": (RecordFilter(status=range(401, 402)), [1]),
    "status 0": (RecordFilter(status=range(1)), [3]),
    "status class": (RecordFilter(status=range(400, 500)), [1, 2]),
    "outcome": (RecordFilter(outcome=Outcome.REFUSED), [1]),
    "path prefix": (RecordFilter(path="/api/v1/hosts"), [0, 1]),
    "path pattern": (RecordFilter(path="/api/v1/*/logs"), [1]),
    "path pattern to the end": (RecordFilter(path="*hosts"), [0, 3]),
    "path pattern of nothing else": (RecordFilter(path="/api/v1/host*s"), [0, 1]),
    "path with signs of LIKE": (RecordFilter(path="/api/v1/100%_"), [2]),
    "path with other signs of LIKE": (RecordFilter(path="/api/v1/%"), []),
    "path with a backslash": (RecordFilter(path="/api/v1/clusters\\"), [4]),
    "tool": (RecordFilter(tool="list_clusters"), [4]),
    "invocation": (RecordFilter(invocation_id=INVOCATION), [4]),
    "network": (RecordFilter(client_ip=ip_network("10.0.0.0/8")), [2]),
    "address": (RecordFilter(client_ip=ip_network("2001:db8::7")), [3]),
    "since": (RecordFilter(since=ARRIVAL + timedelta(hours=1)), [5]),
    "until": (RecordFilter(until=ARRIVAL + timedelta(hours=1)), [0, 1, 2, 3, 4, 6, 7, 8]),
    "arrived since": (RecordFilter(arrived_since=LATE), [0, 1]),
    "arrived until": (RecordFilter(arrived_until=LATE), [2]),
    "clock ahead": (RecordFilter(clock_ahead=True), [2]),
    "clock not ahead": (RecordFilter(clock_ahead=False), [0, 1, 3, 4, 5, 6, 7, 8]),
    "two": (RecordFilter(path="/api/v1/hosts", status=range(401, 402)), [1]),
    "two that exclude one another": (RecordFilter(method="POST", tool="list_clusters"), []),
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
    record = a_record(path=path, invocation_id=UUID(int=data.draw(st.integers(0, 2**100))))
    wanted = RecordFilter(path=data.draw(PATHS.filter(bool)), invocation_id=record.invocation_id)
    await store.append([record])

    found = await search(database, RecordQuery(filter=wanted))
    assert wanted.matches(record) == (record.id in {one.id for one in found})
