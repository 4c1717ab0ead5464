"""One token in one request: who has it, when it was used, and what it did."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from audit_api.client.audit_client import open_client
from audit_api.client.refusals import NothingFoundError, WrongQuestionError
from audit_log.postgres.token_table import TokenTable
from audit_log.record import Outcome, ToolOutcome
from tests.neighbours.audit_api import ALL, asked, asking_as_admin, record, url_of_audit_api
from tests.neighbours.console import console
from tests.neighbours.records import a_tool_call

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


@pytest.fixture
async def token(store, database):
    """The id of a token of Anna's that was renamed, with calls of today and of last year."""
    made, _ = await TokenTable(database).create("ci/eu, 1", "operator", 90, "Anna", "deploys")
    of_it = {"token_id": made.id, "token_name": made.name, "client_ip": "192.0.2.7"}
    await store.append(
        [
            record(**of_it | {"token_name": "ci"}, created_at=NOW - timedelta(days=300)),
            record(method="DELETE", path="/api/v1/clusters/12", created_at=NOW - HOUR, **of_it),
            record(
                method="POST",
                path="/api/v1/clusters/12/nodes",
                status_code=403,
                created_at=NOW,
                **of_it,
            ),
            record(path="/api/v1/hosts/7", status_code=502, created_at=NOW - HOUR, **of_it),
            record(created_at=NOW, token_name="other", token_id=UUID(int=7)),
            record(created_at=NOW, token_name="other", token_id=UUID(int=8)),
            record(
                created_at=NOW,
                token_name="Unknown token (1a2b3c4d)",
                status_code=401,
                outcome=Outcome.REFUSED,
            ),
        ]
    )
    of_it = {"token_id": made.id, "token_name": made.name}
    await store.append_invocations(
        [
            a_tool_call(tool="deploy", created_at=NOW, **of_it),
            a_tool_call(tool="deploy", created_at=NOW, outcome=ToolOutcome.TOOL_ERROR, **of_it),
            a_tool_call(tool="list", created_at=NOW, **of_it),
            a_tool_call(tool="alone", created_at=NOW, token_name="only-tools"),
        ]
    )
    return made.id


@pytest.fixture
async def api(database_url, database):
    async with asking_as_admin(database, database_url) as client:
        yield client


async def test_a_token_is_told_with_its_owner_its_uses_and_what_it_did(api, token):
    told = await asked(api, f"{ALL}/tokens/{token}")

    assert (told["token_name"], told["owner"], told["role"]) == ("ci/eu, 1", "Anna", "operator")
    assert told["expires_at"] is not None
    assert told["first_used"] == (NOW - timedelta(days=300)).isoformat()
    assert told["last_used"] == NOW.isoformat()
    counts = ("calls", "changes", "refused", "failed", "tool_calls")
    assert [told[name] for name in counts] == [3, 2, 1, 1, 3]
    assert [(tool["value"], tool["calls"], tool["failed"]) for tool in told["tools"]] == [
        ("deploy", 2, 1),
        ("list", 1, 0),
    ]
    assert [(each["value"], each["calls"]) for each in told["clients"]] == [("192.0.2.7", 3)]
    [changed] = told["objects"]
    assert (changed["value"], changed["calls"], changed["refused"]) == ("clusters/12", 2, 1)
    # Each figure leads to its calls.
    of_it, span = told["filter"], {"since": told["since"], "until": told["until"]}
    for further, number in (
        ({}, told["calls"]),
        ({"refused": "true"}, told["refused"]),
        (changed["filter"] | {"changes": "true"}, changed["calls"]),
    ):
        async with api.get(ALL, params={**of_it, **span, **further}) as response:
            assert len(await response.json()) == number
    async with api.get(f"{ALL}/invocations", params={**of_it, **told["tools"][0]["filter"]}) as it:
        assert len(await it.json()) == told["tools"][0]["calls"]


async def test_a_name_stands_for_its_token_and_a_name_of_two_is_refused(api, token):
    async with api.get(f"{ALL}/tokens/ci%2Feu%2C%201") as response:
        assert (await response.json())["token_id"] == str(token)
    [problem] = (await asked(api, f"{ALL}/tokens/other", 422))["detail"]
    assert problem["loc"] == ["path", "token"]
    assert problem["msg"].startswith("2 tokens have this name: ask for one by its id, 0000")
    before = await asked(api, f"{ALL}/tokens/ci")
    assert before["filter"] == {"token_name": "ci"}
    assert before["calls"] == 0
    unknown = await asked(api, f"{ALL}/tokens/Unknown%20tokens")
    assert (unknown["calls"], unknown["refused"]) == (1, 1)
    assert unknown["filter"] == {"unknown_tokens": "true"}
    only_tools = await asked(api, f"{ALL}/tokens/only-tools")
    assert (only_tools["calls"], only_tools["tool_calls"]) == (0, 1)
    assert only_tools["first_used"] == NOW.isoformat()
    await asked(api, f"{ALL}/tokens/nobody", 404)


async def test_only_calls_of_the_time_asked_for_are_counted(api, token):
    told = await asked(api, f"{ALL}/tokens/{token}?until={(NOW - HOUR).isoformat()[:19]}Z")
    assert (told["calls"], told["tool_calls"]) == (0, 0)
    earliest = await asked(api, f"{ALL}/tokens/{token}?until=0001-01-01")
    assert earliest["since"] == earliest["until"]
    all_time = await asked(api, f"{ALL}/tokens/{token}?since=2020-01-01&limit=1")
    assert (all_time["calls"], len(all_time["tools"])) == (4, 1)


async def test_a_token_was_not_used_in_the_future_whatever_a_sidecars_clock_says(api, store):
    await store.append([record(token_name="ahead", created_at=NOW + timedelta(days=1))])

    told = await asked(api, f"{ALL}/tokens/ahead")

    assert told["last_used"] < (NOW + HOUR).isoformat()
    assert told["first_used"] == told["last_used"]


async def test_client_and_terminal_ask_for_a_token_by_name_or_id(
    database, database_url, token, tmp_path
):
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    async with url_of_audit_api(database_url) as url:
        async with open_client(url, secret) as client:
            told = await client.token("ci/eu, 1", {"since": NOW - timedelta(days=365)})
            assert (told.calls, told.tools[0].value) == (4, "deploy")
            with pytest.raises(NothingFoundError):
                await client.token("nobody")
            with pytest.raises(WrongQuestionError, match="by its id"):
                await client.token("other")
        at = {"PODWARDEN_AUDIT_URL": url, "PODWARDEN_AUDIT_TOKEN": secret}
        shown = await console("show", "ci/eu, 1", directory=tmp_path, **at)
        raw = await console("show", str(token), "--json", directory=tmp_path, **at)
        nobody = await console("show", "nobody", directory=tmp_path, **at)
        around = await console("show", "ci/eu, 1", "--around", directory=tmp_path, **at)

    assert shown.code == 0
    assert "owner        Anna" in shown.lines
    assert [line.split()[-1] for line in shown.lines if line.startswith("   ")] == [
        *("deploy", "list", "CLIENT", "192.0.2.7", "OBJECT", "clusters/12")
    ]
    assert json.loads(raw.output)["calls"] == 3
    assert (nobody.code, nobody.complaints) == (
        1,
        "no token named nobody made a call: `top token` lists tokens\n",
    )
    assert (around.code, around.complaints) == (
        2,
        "--around goes with an entry, a tool call or a session\n",
    )
