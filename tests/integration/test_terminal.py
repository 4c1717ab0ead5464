"""`podwarden-audit query` and the others, as an operator runs them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession

from audit_log.postgres.token_table import TokenTable
from audit_log.record import Gap, Outcome, ToolOutcome, new_record_id
from tests.neighbours.audit_api import NOBODY, record, url_of_audit_api
from tests.neighbours.console import console
from tests.neighbours.records import a_gap, a_tool_call
from tests.neighbours.services import refusing_port

BEGAN = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def asking(store, database, database_url, tmp_path):
    """Return what runs a command at an audit API, and one that reads the database."""
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    async with url_of_audit_api(database_url) as url:

        async def ask(*arguments, **environment):
            at = {"PODWARDEN_AUDIT_URL": url, "PODWARDEN_AUDIT_TOKEN": secret}
            return await console(*arguments, directory=tmp_path, **(at | environment))

        yield ask


async def test_entries_are_listed_newest_first_with_gaps_of_their_time(asking, store):
    refused = record(
        created_at=BEGAN + SECOND,
        status_code=401,
        outcome=Outcome.REFUSED,
        token_name="evil\x1b[2J",
        method="DELETE",
        path="/api/v1/clusters/12",
    )
    await store.append([record(created_at=BEGAN), refused])
    await store.append_gaps(
        [
            Gap(
                id=new_record_id(),
                started_at=BEGAN,
                ended_at=BEGAN + SECOND,
                count=25_000,
                reason="journal_full",
                instance="a",
            )
        ]
    )

    listed = await asking("query")
    some = await asking("query", "method=DELETE", "--json", "status=4xx", "until=2026-03-01")
    before = await asking("query", "until=2026-01-01")
    gaps = await asking("query", "--gaps")
    await store.append_gaps([a_gap(BEGAN - timedelta(days=n)) for n in range(4)])
    newest = await asking("query", "--limit", "1")
    every = await asking("query")

    assert listed.code == 0
    assert listed.lines[0].split() == [
        *("TIME", "STATUS", "METHOD", "PATH", "TOKEN", "TOOL", "MS", "ID")
    ]
    assert listed.lines[1].startswith(
        "2026-02-28 03:42:01.000Z  401     DELETE  /api/v1/clusters/12 (refused)"
    )
    assert r"evil\u001b[2J" in listed.lines[1]
    assert listed.lines[1].endswith(str(refused.id))
    assert len(listed.lines) == 3
    assert listed.complaints == (
        "gap: 25,000 records are missing between 2026-02-28 03:42:00.000Z and "
        "2026-02-28 03:42:01.000Z (journal_full, a)\n"
    )
    [only] = map(json.loads, some.lines)
    assert (only["id"], only["token_name"]) == (str(refused.id), "evil\x1b[2J")
    assert (before.code, before.output, before.complaints) == (0, "", "nothing matches\n")
    assert "25,000" in gaps.lines[1]
    assert newest.complaints == listed.complaints
    assert every.complaints.endswith("2 more gaps: query --gaps shows them\n")


async def test_all_pages_are_listed_or_as_many_as_are_wanted(asking, store):
    await store.append([record(created_at=BEGAN + n * SECOND) for n in range(1_001)])

    assert len((await asking("query", "--json")).lines) == 100
    assert len((await asking("query", "--json", "--limit", "600")).lines) == 600
    assert len((await asking("query", "--json", "--all")).lines) == 1_001


async def test_the_database_itself_answers_as_the_audit_api_does(
    asking, store, database_url, tmp_path
):
    await store.append([record(created_at=BEGAN + n * SECOND, method="PUT") for n in range(3)])
    question = ("query", "method=PUT", "--json")

    by_url = await asking(*question)
    by_option = await console(*question, "--database-url", database_url, directory=tmp_path)
    by_environment = await console(
        *question, directory=tmp_path, AUDIT_LOG_DATABASE_URL=database_url, AUDIT_API_PORT="1"
    )

    assert (by_option.code, by_option.complaints) == (0, "")
    assert len(by_url.lines) == 3
    assert by_option.output == by_environment.output == by_url.output


async def test_who_read_the_log_is_listed(asking, store):
    await store.append([record(), record(id=new_record_id())])
    await asking("query", "status=2xx")

    listed = await asking("reads", "question=/mcp-audit?*")
    of_nobody = await asking("reads", "reader=nobody", "--json")

    assert listed.lines[0].split() == [
        *("TIME", "KIND", "READER", "ADDRESS", "ROWS", "STATUS", "QUESTION")
    ]
    assert listed.lines[1].split()[2:] == [
        *("question", "reader", "127.0.0.1", "2", "200"),
        "/mcp-audit?expand=details&limit=100&status=2xx",
    ]
    assert (listed.code, of_nobody.code, of_nobody.lines) == (0, 0, [])


async def test_tool_calls_and_sessions_are_listed_and_shown(asking, store):
    session = new_record_id()
    call = a_tool_call(
        session=session, client_name="claude-code", outcome=ToolOutcome.TOOL_ERROR, api_calls=1
    )
    of_call = record(method="POST", path="/api/v1/nodes", invocation_id=call.id)
    await store.append([of_call, record(path="/api/v1/hosts")])
    await store.append_invocations([call])

    calls = await asking("query", "--tool-calls", "outcome=tool_error")
    sessions = await asking("sessions", "client_name=claude-code")
    shown = {each: await asking("show", str(each)) for each in (of_call.id, call.id, session)}
    around = await asking("show", str(of_call.id), "--around", "--json")
    nothing = await asking("show", str(NOBODY))

    assert "list_clusters" in calls.lines[1]
    assert calls.lines[1].endswith(str(call.id))
    assert sessions.lines[1].endswith(str(session))
    assert f"invocation_id  {call.id}" in shown[of_call.id].lines
    assert shown[call.id].lines[-1].endswith(str(of_call.id))
    assert shown[session].lines[-1].endswith(str(call.id))
    assert [json.loads(line)["path"] for line in around.lines] == [
        *("/api/v1/nodes", "/api/v1/nodes", "/api/v1/hosts")
    ]
    assert (nothing.code, nothing.complaints) == (
        1,
        f"no entry, tool call, session or token has the id {NOBODY}\n",
    )


async def test_calls_are_counted_by_what_they_have_in_common(asking, store):
    changes = [record(method="POST", path="/api/v1/clusters/12/nodes") for _ in range(3)]
    reads = [record(path="/api/v1/clusters/7", token_name="ci") for _ in range(4)]
    refused = record(method="DELETE", path="/api/v1/clusters/7", status_code=403)
    await store.append([*changes, *reads, refused])

    by_token = await asking("top", "token", "since=2026-01-01", "--json")
    by_template = await asking("top", "path_template", "since=2026-01-01", "--limit", "1")
    objects = await asking("objects", "since=2026-01-01", "token_name!=ci", "compare=true")
    lately = await asking("objects")
    wrong = await asking("top", "colour")

    counts = [json.loads(line) for line in by_token.lines]
    assert {each["value"]: (each["calls"], each["refused"]) for each in counts} == {
        "ci": (4, 0),
        "claude": (4, 1),
    }
    assert by_template.lines[1].endswith("  /api/v1/clusters/{id}")
    assert objects.lines[0].split()[:2] == ["CALLS", "BEFORE"]
    assert [line.split()[-1] for line in objects.lines[1:]] == ["clusters/12", "clusters/7"]
    assert lately.complaints == "of the last 7 days; since=30d counts more\nnothing matches\n"
    assert (wrong.code, wrong.complaints.splitlines()[1][:4]) == (2, "by: ")


NO_DATABASE = "postgresql://x@127.0.0.1:1/x"
WRONG = [
    ("query nane=claude", 2, "nane: there is no such filter or option\n"),
    ("query status=soon", 2, "status: This should be a status code like 401"),
    ("query claude", 2, "`claude` is no filter: write name=value"),
    ("query --limit none", 2, "usage: podwarden-audit query"),
    ("show 12", 1, "no token named 12 made a call: "),
    ("export --follow", 2, "usage: podwarden-audit export"),
    ("tail --mark-file mark", 2, "usage: podwarden-audit tail"),
    ("query --token pwm_wrong", 77, "Invalid credentials\n"),
    ("query --token-file none", 78, "the token in none cannot be read: "),
    ("query --url host:80", 78, "`host:80` is no URL of an audit API"),
    ("query --database-url x", 78, "the URL of the database is not a postgresql:// URL\n"),
    (f"query --database-url {NO_DATABASE}", 75, "the database cannot be read now: "),
    ("export --output none/file", 1, "none/.file.partial: No such file or directory\n"),
    ("export --mark-file none/mark", 1, "none/mark.lock cannot be opened: No such file"),
]


async def test_what_is_wrong_is_told_in_a_line(asking, tmp_path):
    for arguments, code, complaint in WRONG:
        done = await asking(*arguments.split())

        assert (done.code, done.output) == (code, ""), arguments
        assert done.complaints.startswith(complaint), done.complaints
    nowhere = await console("query", directory=tmp_path)
    assert (nowhere.code, nowhere.complaints[:23]) == (78, "set PODWARDEN_AUDIT_URL")


async def test_an_audit_api_that_is_away_is_told_as_something_to_try_again(tmp_path):
    with refusing_port() as port:
        for command in ("query", "export", "tail -f"):
            url = f"http://127.0.0.1:{port}"
            done = await console(*command.split(), "--url", url, directory=tmp_path)

            assert done.code == 75
            assert done.complaints.startswith("the audit API cannot be reached: Connect call fail")
            assert done.complaints.count("\n") == 1


async def test_a_link_is_printed_alone_and_signs_a_browser_in(asking, database_url, tmp_path):
    made = await asking("sign-in-link", "--json")
    plain = await asking("sign-in-link")
    refused = await asking("sign-in-link", PODWARDEN_AUDIT_TOKEN="pwm_unknown")
    of_database = await console(
        "sign-in-link", directory=tmp_path, AUDIT_LOG_DATABASE_URL=database_url
    )

    [link] = plain.lines
    page, _, code = link.partition("#sign-in=")
    assert page.endswith("/settings/mcp/activity")
    assert plain.complaints.startswith("It works once, until 2")
    told = json.loads(made.output)
    assert told["link"].startswith(f"{page}#sign-in=")
    assert datetime.fromisoformat(told["expires_at"]) > datetime.now(UTC)
    async with (
        ClientSession() as browser,
        browser.post(
            f"{page}/session",
            json={"code": code},
            headers={"X-Requested-With": "activity-log"},
        ) as response,
    ):
        assert response.status == 204
    assert (refused.code, refused.complaints) == (77, "Invalid credentials\n")
    assert of_database.code == 78
    assert of_database.complaints == (
        "an audit API makes the link: set PODWARDEN_AUDIT_URL and PODWARDEN_AUDIT_TOKEN\n"
    )
