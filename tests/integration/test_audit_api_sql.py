"""Lists as SQL: run on the real table, the statement finds the rows that the list has."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from audit_log.record import Outcome, new_record_id
from tests.neighbours.audit_api import ALL, asked, asking_as_admin, record
from tests.neighbours.records import a_tool_call

NOW = datetime.now(UTC)
TOKEN, CALL = UUID(int=7), new_record_id()
LATE = "since=2026-02-28T03:00:00Z&until=2099-01-01"


@pytest.fixture(scope="module")
def database_url(module_database_url):
    return module_database_url


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


@pytest.fixture
async def log(store):
    """Calls whose values need care in SQL, and one that is dated in the future."""
    session = new_record_id()
    await store.append_invocations(
        [
            a_tool_call(id=CALL, created_at=NOW, session=session, tool="it's", token_name="a,b"),
            a_tool_call(created_at=NOW - timedelta(hours=1), tool="list", duration_ms=0.1),
        ]
    )
    ordinary = [record(created_at=NOW - timedelta(minutes=n), path=f"/{n}") for n in range(9)]
    odd = [
        record(token_name="O'Brien\\'; DROP TABLE mcp_audit_log; --", path="/odd_%41'$1"),
        record(token_id=TOKEN, client_ip="10.1.2.3", duration_ms=1500.0, user_agent="x/1.0 (é)"),
        record(method="DELETE", path="/api/v1/clusters/12/nodes", status_code=403),
        record(path="/api/v1/clusters/%31%32", outcome=Outcome.REFUSED, status_code=401),
        record(invocation_id=CALL, tool="it's", request_id="r$1", instance="$2"),
        record(token_name="Unknown token (1a2b3c4d)", status_code=0),
        record(created_at=NOW + timedelta(days=1), path="/future"),
    ]
    await store.append([*ordinary, *odd])
    return {call.path: call for call in [*ordinary, *odd]}


ENTRIES = [
    "",
    "limit=3",
    LATE,
    "clock_ahead=true",
    "token_name=O'Brien\\'; DROP TABLE mcp_audit_log; --",
    "token_name!=claude,a\\,b",
    "path=/odd_%2541'$1",
    "path=*clusters*",
    f"token_id={TOKEN},{CALL}&status=2xx,401",
    "object=clusters/12&changes=true",
    "object=clusters/12",
    "client_ip=10.0.0.0/8&duration_ms>=1499.5&duration_ms<=1500",
    "user_agent=x/1.0%20(%C3%A9",
    "tool=it's&request_id=r$1&instance=$2",
    "principal!=x&session!=00000000-0000-0000-0000-000000000001",
    "unknown_tokens=true",
    "refused=true&outcome=refused,completed",
    "refused=false&limit=5",
    "around={around}&limit=4",
]
TOOL_CALLS = ["", "tool=it's", "token_name=a\\,b", "duration_ms<=0.2", "outcome!=tool_error"]


@pytest.mark.parametrize(
    ("path", "queries"), [("", ENTRIES), ("/invocations", TOOL_CALLS)], ids=["entries", "tools"]
)
async def test_the_statement_finds_the_rows_of_the_list(api, database, log, path, queries):
    for query in queries:
        given = query.format(around=log["/4"].id)
        listed = await asked(api, f"{ALL}{path}?{given}")
        async with api.get(f"{ALL}{path}/sql?{given}") as response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"] == "application/sql; charset=utf-8"
            sql = await response.text()
        rows = await database.fetch(sql)

        assert [str(row["id"]) for row in rows] == [each["id"] for each in listed], sql
        assert listed != [], query
        assert {"id", "token_name", "created_at"} <= set(rows[0].keys())


async def test_a_page_further_on_has_its_statement_too(api, database, log):
    async with api.get(f"{ALL}?limit=4") as response:
        following = str(response.links["next"]["url"])
    listed = await asked(api, following)
    async with api.get(following.replace("mcp-audit?", "mcp-audit/sql?")) as response:
        rows = await database.fetch(await response.text())
    assert [str(row["id"]) for row in rows] == [each["id"] for each in listed]
