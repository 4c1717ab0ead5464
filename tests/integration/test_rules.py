"""`podwarden-audit rules`: what rules would have told, before they are switched on."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from audit_log.postgres.token_table import TokenTable
from audit_log.record import ToolOutcome
from tests.neighbours.audit_api import NOBODY, record, url_of_audit_api
from tests.neighbours.console import console
from tests.neighbours.documents import CHECKOUT
from tests.neighbours.records import a_gap, a_tool_call

NOW = datetime.now(UTC)
RULES = """\
[[rule]]
name = "cluster-deleted"
filter = "?method=DELETE&object=clusters&span=7d"

[[rule]]
name = "new-address"
new = "address"

[[rule]]
name = "new-tool"
filter = "show=tools"
new = "tool"

[[rule]]
name = "storm"
filter = "status=5xx"
every = "1h"
"""


def ago(**length):
    return NOW - timedelta(**length)


@pytest.fixture
async def asking(store, database, database_url, tmp_path):
    """Return what runs the command at an audit API."""
    (tmp_path / "rules.toml").write_text(RULES)
    _, secret = await TokenTable(database).create("reader", "admin", 90)
    async with url_of_audit_api(database_url) as url:

        async def ask(*arguments, **environment):
            at = {
                "PODWARDEN_AUDIT_URL": url,
                "PODWARDEN_AUDIT_TOKEN": secret,
                "AUDIT_PUSH_RULES_FILE": str(tmp_path / "rules.toml"),
            }
            return await console("rules", *arguments, directory=tmp_path, **(at | environment))

        yield ask


async def test_each_command_of_the_document_works_as_written(asking):
    document = (CHECKOUT / "docs" / "watch.md").read_text()
    commands = re.findall(r"^podwarden-audit rules (.*)$", document, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        done = await asking(*shlex.split(command, comments=True), AUDIT_PUSH_RULES_FILE="")
        assert done.code == 0, done


async def outcome_of(asking, rule, *more):
    done = await asking("test", rule, "--json", *more)
    [told] = map(json.loads, done.lines)
    return told


async def test_a_rule_is_tested_against_the_past(asking, store, database_url):
    deletions = [
        record(
            created_at=ago(days=days, hours=1),
            method="DELETE",
            path=f"/api/v1/clusters/{days}",
            status_code=204,
        )
        for days in (0, 1, 6, 8)
    ]
    await store.append(
        [*deletions, record(created_at=ago(hours=1), method="DELETE", path="/api/v1/hosts/1")]
    )
    await store.append_gaps([a_gap(ago(days=2))])

    week = await asking("test", "cluster-deleted")
    day = await asking("test", "cluster-deleted", "--since", "1d")
    month = await outcome_of(
        asking, "cluster-deleted", "--since=30d", "--database-url", database_url
    )

    assert week.code == 0
    assert week.lines[0] == "cluster-deleted: would have fired 3 times in the last 7 days"
    assert week.lines[2].split()[2:5] == ["204", "DELETE", "/api/v1/clusters/0"]
    assert week.lines[4].endswith(str(deletions[2].id))
    assert week.complaints.startswith("gap: 37 records are missing between ")
    assert day.lines[0] == "cluster-deleted: would have fired 1 time in the last day"
    assert (month["rule"], month["fired"], month["calls"]) == ("cluster-deleted", 4, 4)
    assert [told["id"] for told in month["newest"]] == [str(each.id) for each in deletions]


async def test_an_address_is_new_to_a_token_once_by_all_that_the_log_has(asking, store):
    other, unknown = UUID(int=NOBODY.int + 1), "Unknown token ({})"
    known = {"token_id": NOBODY, "client_ip": "192.0.2.1"}
    await store.append([record(created_at=ago(days=20), **known)])
    new = record(created_at=ago(hours=3), token_id=NOBODY, client_ip="192.0.2.2")
    await store.append(
        [
            record(created_at=ago(days=1), **known),
            new,
            record(created_at=ago(hours=2), token_id=NOBODY, client_ip="192.0.2.2"),
            record(created_at=ago(hours=1), token_id=NOBODY, client_ip=None),
            record(created_at=ago(minutes=3), token_id=other, client_ip="::1"),
            record(
                created_at=ago(minutes=2), token_name=unknown.format("01234567"), client_ip="::1"
            ),
            record(
                created_at=ago(minutes=1), token_name=unknown.format("89abcdef"), client_ip="::1"
            ),
        ]
    )
    before = await outcome_of(asking, "new-address")
    # A sidecar was away: what it recorded then arrives now.
    late = record(created_at=ago(hours=4), token_id=NOBODY, client_ip="192.0.2.2")
    await store.append([late])
    after = await outcome_of(asking, "new-address")

    assert (before["fired"], before["newest"][-1]["id"]) == (3, str(new.id))
    assert (after["fired"], after["newest"][-1]["id"]) == (3, str(late.id))


async def test_a_tool_is_new_to_a_token_when_its_call_has_ended(asking, store):
    calls = [
        a_tool_call(created_at=ago(hours=hours), tool=tool, outcome=outcome)
        for hours, tool, outcome in (
            (400, "list", ToolOutcome.OK),
            (3, "list", ToolOutcome.OK),
            (2, "drop", ToolOutcome.ASKED),
            (1, "scale,all", ToolOutcome.TOOL_ERROR),
        )
    ]
    await store.append_invocations(calls)

    done = await asking("test", "new-tool")

    assert done.lines[0] == "new-tool: would have fired 1 time in the last 7 days"
    assert done.lines[2].split()[2:4] == ["tool_error", "scale,all"]


async def test_a_storm_is_told_once_each_period(asking, store):
    await store.append([record(created_at=ago(minutes=n), status_code=500) for n in range(1, 100)])

    done = await asking("test", "storm")

    assert done.lines[0] == ("storm: would have fired 3 times in the last 7 days, for 99 calls")


async def test_rules_are_checked_without_a_log(asking, tmp_path):
    right = await asking("check", PODWARDEN_AUDIT_URL="")
    (tmp_path / "wrong.toml").write_text(RULES.replace("status=5xx", "status=5x"))
    wrong = await asking("check", "wrong.toml")
    untested = await asking("test", "--file", "wrong.toml")
    unknown = await asking("test", "storms")
    nowhere = await asking("check", AUDIT_PUSH_RULES_FILE="")

    assert (right.code, right.complaints) == (0, "")
    assert right.lines == [
        f"{tmp_path}/rules.toml: 4 rules, all right: cluster-deleted, new-address, new-tool, storm"
    ]
    assert wrong.code == 78
    assert wrong.complaints == (
        "wrong.toml:16: rule 4 `storm`: filter: `status`: "
        "This should be a status code like 401, or a class like 4xx\n"
    )
    assert (untested.code, untested.complaints) == (wrong.code, wrong.complaints)
    assert (unknown.code, unknown.complaints) == (
        2,
        f"{tmp_path}/rules.toml has no rule `storms`\n",
    )
    assert nowhere.code == 2
    assert "name the file of the rules, or set AUDIT_PUSH_RULES_FILE" in nowhere.complaints
