"""Who read the audit log: every question, export, stream, sign-in and refusal leaves an entry."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar

from audit_api.access.sign_in import SESSION_PATH
from audit_log.postgres.database import open_database
from audit_log.postgres.store import Store
from audit_log.postgres.token_table import TokenTable
from audit_log.record import new_record_id
from tests.neighbours.audit_api import (
    ALL,
    GAPS,
    NOBODY,
    asked,
    asking_as_admin,
    record,
    serving_audit_api,
)
from tests.neighbours.patience import eventually
from tests.neighbours.services import running_audit_api, running_sidecar

READS = f"{ALL}/reads"
OUR_PAGE = {"X-Requested-With": "activity-log"}


@pytest.fixture(scope="module")
def database_url(module_database_url):
    return module_database_url


@pytest.fixture
async def database(database_url):
    """The module's database, without what an earlier test read and recorded."""
    async with open_database(database_url, application="test") as opened:
        await opened.execute("TRUNCATE mcp_audit_read, mcp_audit_log")
        yield opened


@pytest.fixture
async def api(database, database_url):
    async with asking_as_admin(database, database_url) as client:
        yield client


@pytest.fixture
async def browser(api, database):
    """The page of a reader who has signed in: it shows a cookie and no token."""
    _, secret = await TokenTable(database).create("laptop", "admin", 90)
    async with ClientSession(api._base_url, cookie_jar=CookieJar(unsafe=True)) as client:
        async with client.post(SESSION_PATH, json={"token": secret}, headers=OUR_PAGE) as response:
            assert response.status == 204
        yield client


async def reads(database: Any, *columns: str) -> list[Any]:
    """Return these columns of all reads, oldest first."""
    rows = await database.fetch(
        f"SELECT {', '.join(columns)} FROM mcp_audit_read ORDER BY created_at, id"
    )
    return [tuple(row) if len(columns) > 1 else row[0] for row in rows]


async def status_of(client: ClientSession, path: str, **options: Any) -> int:
    async with client.get(path, **options) as response:
        await response.read()
        return int(response.status)


async def test_a_question_is_recorded_with_its_reader_its_filters_and_the_rows_it_was_told(
    api, database
):
    await Store(database).append([record(id=new_record_id()) for _ in range(3)])
    await asked(api, f"{ALL}?status=2xx&limit=2&method=GET")
    await asked(api, f"{ALL}/entries/{NOBODY}", 404)

    assert await reads(
        database, "kind", "reader", "role", "question", "status_code", "rows_told"
    ) == [
        ("question", "reader", "admin", "/mcp-audit?limit=2&method=GET&status=2xx", 200, 2),
        ("question", "reader", "admin", f"/mcp-audit/entries/{NOBODY}", 404, 0),
    ]
    [address] = set(await reads(database, "host(client_ip)"))
    assert address == "127.0.0.1"


async def test_the_address_is_what_a_trusted_proxy_says_and_nobody_else(database, database_url):
    fields = {"X-Forwarded-For": "198.51.100.9, 203.0.113.7, 127.0.0.1"}
    for trusted, expected in (("127.0.0.0/8", "203.0.113.7"), ("10.0.0.0/8", "127.0.0.1")):
        await database.execute("TRUNCATE mcp_audit_read")
        async with asking_as_admin(database, database_url, trusted_proxies=trusted) as api:
            assert await status_of(api, ALL, headers=fields) == 200
        assert await reads(database, "host(client_ip)") == [expected]


async def test_a_question_that_tells_nothing_is_not_recorded(api, database):
    await asked(api, f"{ALL}?status=none", 422)
    await asked(api, f"{ALL}/openapi.json")
    assert await reads(database, "question") == []


async def test_a_token_typed_into_a_filter_is_not_kept(api, database):
    await asked(api, f"{ALL}?token_name=pwm_abcdefgh-SECRET_1,ci")
    [question] = await reads(database, "question")
    assert question == "/mcp-audit?token_name=pwm_...,ci"


async def test_each_page_of_a_list_is_a_question_without_the_text_of_its_cursor(api, database):
    await Store(database).append([record(id=new_record_id()) for _ in range(3)])
    async with api.get(f"{ALL}?limit=2") as response:
        following = response.links["next"]["url"]
    await asked(api, str(following))
    assert await reads(database, "question", "rows_told") == [
        ("/mcp-audit?limit=2", 2),
        ("/mcp-audit?cursor=...&limit=2", 1),
    ]


async def test_an_export_is_recorded_before_its_first_byte_and_counted_at_its_end(api, database):
    await Store(database).append([record(id=new_record_id()) for _ in range(5)])
    async with api.get(f"{ALL}/export") as response:
        assert (await reads(database, "kind", "rows_told", "status_code"))[0] == (
            *("export", None, None),
        )
        await response.read()

    async def ended() -> Any:
        [read] = await asked(api, f"{READS}?kind=export")
        return read if read["ended_at"] else None

    read = await eventually(ended)
    assert (read["rows_told"], read["status_code"]) == (5, 200)


async def test_a_program_that_follows_the_log_in_parts_is_recorded_when_it_is_told_something(
    api, database
):
    mark = ""
    for number in (1, 0, 0, 2):
        await Store(database).append([record(id=new_record_id()) for _ in range(number)])
        after = f"&after={mark}" if mark else ""
        async with api.get(f"{ALL}/export?limit=10{after}") as response:
            assert len((await response.text()).splitlines()) == number
            mark = response.headers["X-Audit-Mark"]
    assert await reads(database, "question", "rows_told") == [
        ("/mcp-audit/export?limit=10", 1),
        ("/mcp-audit/export?after=...&limit=10", 2),
    ]


async def test_an_export_that_its_client_leaves_says_so(api, database):
    long = "x" * 2_000
    await Store(database).append(
        [record(id=new_record_id(), path=f"/api/v1/{long}") for _ in range(20_000)]
    )
    async with api.get(f"{ALL}/export") as response:
        await response.content.read(1)
        response.close()

    async def ended() -> Any:
        [read] = await asked(api, f"{READS}?kind=export")
        return read if read["ended_at"] else None

    read = await eventually(ended)
    assert read["status_code"] == 499
    assert read["rows_told"] < 20_000


async def test_a_stream_is_recorded_when_it_begins_and_what_it_told_when_it_ends(api, database):
    async with api.get(f"{ALL}/stream") as response:
        assert response.status == 200
        assert await reads(database, "kind", "rows_told") == [("stream", None)]
        await Store(database).append([record(id=new_record_id())])
        async for line in response.content:
            if line.startswith(b"event: entry"):
                break
        response.close()

    async def ended() -> Any:
        [read] = await asked(api, f"{READS}?kind=stream")
        return read if read["ended_at"] else None

    read = await eventually(ended)
    assert (read["rows_told"], read["status_code"]) == (1, 200)


async def test_what_the_page_asks_again_and_again_is_one_read_of_a_session_and_view(
    browser, database
):
    for _ in range(3):
        assert await status_of(browser, f"{ALL}?expand=details&limit=100&status=4xx") == 200
        assert await status_of(browser, f"{ALL}/stats?bucket=auto&status=4xx") == 200
        assert await status_of(browser, GAPS) == 200
    assert await status_of(browser, f"{ALL}?expand=details&limit=100&status=5xx") == 200
    assert await status_of(browser, f"{ALL}/export?status=5xx") == 200
    assert await status_of(browser, f"{ALL}/export?status=5xx") == 200

    found = await reads(database, "kind", "question", "session IS NOT NULL")
    assert [(kind, question) for kind, question, _ in found if kind != "export"] == [
        ("sign_in", "sign-in"),
        ("question", "/mcp-audit?expand=details&limit=100&status=4xx"),
        ("question", "/mcp-audit/gaps"),
        ("question", "/mcp-audit?expand=details&limit=100&status=5xx"),
    ]
    assert {has_session for *_, has_session in found} == {True}
    assert [kind for kind, *_ in found].count("export") >= 2


async def test_a_longer_list_than_the_pages_is_another_view(browser, database):
    for limit in (100, 500, 500):
        assert await status_of(browser, f"{ALL}?limit={limit}") == 200
    assert (await reads(database, "question"))[1:] == [
        "/mcp-audit?limit=100",
        "/mcp-audit?limit=500",
    ]


async def test_a_program_that_asks_again_has_asked_twice(api, database):
    await asked(api, ALL)
    await asked(api, ALL)
    assert await reads(database, "question") == ["/mcp-audit"] * 2


async def test_a_sign_in_is_recorded_with_the_session_of_what_follows(browser, database):
    assert await status_of(browser, ALL) == 200
    [(kind, reader, session), (_, _, later)] = await reads(database, "kind", "reader", "session")
    assert (kind, reader) == ("sign_in", "laptop")
    assert session == later


async def test_a_refused_caller_leaves_an_entry_at_once_and_one_for_all_that_follow(
    database, database_url
):
    _, viewer = await TokenTable(database).create("robot", "viewer", 90)
    fields = {"Authorization": f"Bearer {viewer}"}
    async with serving_audit_api(database_url) as api:
        for _ in range(4):
            assert await status_of(api, f"{ALL}?path=/secret", headers=fields) == 403

        async def first() -> list[Any]:
            return await reads(database, "kind", "reader", "question", "status_code", "times")

        assert await eventually(first) == [("refused", "robot", "/mcp-audit", 403, 1)]
    assert await reads(database, "times") == [1, 3]


async def test_a_flood_of_refused_callers_is_counted_and_leaves_few_entries(
    database, database_url
):
    async with serving_audit_api(database_url) as api:
        statuses = await asyncio.gather(*(status_of(api, ALL) for _ in range(200)))
        assert set(statuses) == {401}
        async with api.get("/metrics") as response:
            metrics = await response.text()
    assert 'podwarden_audit_api_refusals_total{reason="no_credentials"} 200.0' in metrics
    assert sum(await reads(database, "times")) == 200
    assert len(await reads(database, "times")) == 2


async def test_the_page_that_asks_whether_it_is_signed_in_is_not_refused(database, database_url):
    async with serving_audit_api(database_url) as api:
        assert await status_of(api, SESSION_PATH) == 401
    assert await reads(database, "kind") == []


async def test_a_sign_in_that_is_refused_leaves_an_entry(database, database_url):
    async with serving_audit_api(database_url) as api:
        for headers in (OUR_PAGE, {}):
            async with api.post(
                SESSION_PATH, json={"token": "pwm_none"}, headers=headers
            ) as response:
                assert response.status in {401, 403}
    assert sorted(await reads(database, "kind", "question", "status_code")) == [
        ("refused", "sign-in", 401),
        ("refused", "sign-in", 403),
    ]


async def test_a_read_that_cannot_be_recorded_is_not_answered(api, database):
    await Store(database).append([record(id=new_record_id())])
    await database.execute("ALTER TABLE mcp_audit_read RENAME TO moved_away")
    try:
        for path in (ALL, f"{ALL}/export", f"{ALL}/stream", f"{ALL}/evidence"):
            told = await asked(api, path, 503)
            assert told["detail"] == "This read cannot be recorded, so it is not answered", path
    finally:
        await database.execute("ALTER TABLE moved_away RENAME TO mcp_audit_read")
    assert len(await asked(api, ALL)) == 1


async def test_reads_are_listed_newest_first_page_by_page_and_that_is_a_read_too(api, database):
    for status in ("2xx", "4xx", "5xx"):
        await asked(api, f"{ALL}?status={status}")
    async with api.get(f"{READS}?limit=2&question=/mcp-audit?status=*") as response:
        newest = await response.json()
        following = response.links["next"]["url"]
    oldest = await asked(api, str(following))
    assert [read["question"][-3:] for read in (*newest, *oldest)] == ["5xx", "4xx", "2xx"]
    assert [read["question"] for read in await asked(api, f"{READS}?limit=1")] == [
        "/mcp-audit/reads?cursor=...&limit=2&question=/mcp-audit%3Fstatus%3D*"
    ]


@pytest.mark.parametrize(
    ("filters", "number"),
    [
        ("reader=reader", 1),
        ("reader=nobody", 0),
        ("kind=question,export", 1),
        ("kind=stream", 0),
        ("client_ip=127.0.0.0/8", 1),
        ("client_ip=10.0.0.1,192.0.2.0/24", 0),
        ("since=2026-01-01", 1),
        ("until=2026-01-01", 0),
        ("session=none", 0),
        ("question=/mcp-audit/tok", 1),
    ],
)
async def test_reads_are_found_by(api, filters, number):
    await asked(api, f"{ALL}/tokens")
    assert len(await asked(api, f"{READS}?{filters}")) == number


async def test_metrics_tell_requests_readers_rows_and_no_names(api, database):
    await Store(database).append([record(id=new_record_id()) for _ in range(3)])
    await asked(api, ALL)
    await asked(api, f"{ALL}?status=none", 422)
    await asked(api, "/nowhere", 404)
    async with api.get("/metrics", headers={"Authorization": ""}) as response:
        assert response.status == 200
        metrics = await response.text()
    for line in (
        'podwarden_audit_api_requests_total{endpoint="entries",status="200"} 1.0',
        'podwarden_audit_api_requests_total{endpoint="entries",status="422"} 1.0',
        'podwarden_audit_api_requests_total{endpoint="other",status="404"} 1.0',
        'podwarden_audit_api_rows_told_total{kind="question"} 3.0',
        'podwarden_audit_api_reads_total{kind="question"} 1.0',
        'podwarden_audit_api_refusals_total{reason="403"} 0.0',
        "podwarden_audit_api_readers 1.0",
        'podwarden_audit_api_request_seconds_count{endpoint="entries"} 2.0',
        "podwarden_audit_api_reads_not_recorded_total 0.0",
    ):
        assert line in metrics.splitlines(), line
    assert "claude" not in metrics


async def test_reads_by_way_of_the_sidecar_have_the_clients_address_and_outlive_a_kill(
    database, database_url, upstream
):
    _, admin = await TokenTable(database).create("far", "admin", 90)
    trusted = {"AUDIT_API_TRUSTED_PROXIES": "127.0.0.0/8"}
    async with (
        running_audit_api(database_url, **trusted) as api,
        running_sidecar(
            upstream.url,
            database_url,
            PROXY_AUDIT_API_URL=api.url,
            PROXY_TRUSTED_PROXIES="127.0.0.0/8",
        ) as sidecar,
        ClientSession(sidecar.url, headers={"X-Forwarded-For": "203.0.113.7"}) as client,
    ):
        fields = {"Authorization": "Basic nonsense"}
        assert await status_of(client, f"{ALL}/growth", headers=fields) == 401
        refused = await api.logged("reader.refused")
        fields = {"Authorization": f"Bearer {admin}"}
        assert await status_of(client, ALL, headers=fields) == 200
        await api.kill()

    assert (refused["level"], refused["client"], refused["reason"], refused["question"]) == (
        *("warning", "203.0.113.7", "Invalid credentials", "/mcp-audit/growth"),
    )
    found = await reads(database, "kind", "reader", "host(client_ip)", "rows_told")
    assert ("question", "far", "203.0.113.7", 0) in found
