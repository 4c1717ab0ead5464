"""`podwarden-audit push` with rules: what fires one reaches a webhook, signed, under one id."""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from audit_log.postgres.token_table import TokenTable
from audit_log.record import ToolOutcome
from tests.neighbours.audit_api import NOBODY, record, url_of_audit_api
from tests.neighbours.console import console
from tests.neighbours.ops import metric_becomes
from tests.neighbours.patience import eventually
from tests.neighbours.receiver import receiving
from tests.neighbours.records import a_tool_call
from tests.neighbours.services import running
from tests.neighbours.webhook_signature import verified

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PAGE = "https://audit.example/settings/mcp/activity"
NOW = datetime.now(UTC)
DELETED = '[[rule]]\nname = "deleted"\nfilter = "method=DELETE&object=clusters"\n'
STORM = '[[rule]]\nname = "storm"\nfilter = "status=5xx"\nevery = "1d"\n'


def deletion(number):
    moment = NOW + timedelta(seconds=number)
    return record(created_at=moment, method="DELETE", path=f"/api/v1/clusters/{number}")


async def watches(push, count):
    """Say whether *push* has begun to watch by so many rules."""
    return sum(event["event"] == "push.rule_watched" for event in push.log) == count


@pytest.fixture
async def watching(database, database_url, tmp_path):
    """Return what watches by rules, and brings what fires them to a receiver."""
    _, secret = await TokenTable(database).create("watcher", "admin", 90)
    async with url_of_audit_api(database_url) as url:

        @asynccontextmanager
        async def watch(rules, receiver):
            (tmp_path / "rules.toml").write_text(rules or "")
            environment = {
                "PODWARDEN_AUDIT_URL": url,
                "PODWARDEN_AUDIT_TOKEN": secret,
                "AUDIT_PUSH_DIR": str(tmp_path / "push"),
                "AUDIT_PUSH_OPS_PORT": "0",
            }
            of_rules = {
                "AUDIT_PUSH_RULES_FILE": str(tmp_path / "rules.toml"),
                "AUDIT_PUSH_WEBHOOK_URL": receiver.url,
                "AUDIT_PUSH_WEBHOOK_SECRET": SECRET,
                "AUDIT_PUSH_PAGE_URL": PAGE,
            }
            environment |= of_rules if rules else {"AUDIT_PUSH_OTLP_URL": "http://127.0.0.1:1/"}
            async with running("deploy.console", environment, "push") as push:
                count = (rules or "").count("[[rule]]")
                assert await eventually(partial(watches, push, count), push.report)
                yield push

        yield watch


async def test_what_fires_a_rule_is_told_signed_and_with_its_link(watching, store):
    before, fires = deletion(1), deletion(2)
    tool = a_tool_call(tool="drop_cluster", outcome=ToolOutcome.TOOL_ERROR, status_code=500)
    rules = f'{DELETED}[[rule]]\nname = "tools"\nfilter = "show=tools&outcome=tool_error"\n'
    await store.append([before])
    async with receiving() as receiver, watching(rules, receiver):
        await store.append([fires, record()])
        await store.append_invocations([tool])
        sent = await receiver.received(2)

    told = {each.event["data"]["rule"]: each for each in sent}
    assert len(sent) == 2
    assert all(verified(SECRET, each.fields, each.body) for each in sent)
    event = told["deleted"].event
    assert (event["type"], event["timestamp"]) == ("rule.fired", fires.created_at.isoformat())
    data = event["data"]
    assert data["entry"]["id"] == str(fires.id)
    assert data["entry"]["path"] == "/api/v1/clusters/2"
    assert (data["count"], data["link"]) == (1, f"{PAGE}?entry={fires.id}")
    data = told["tools"].event["data"]
    assert data["tool_call"]["tool"] == "drop_cluster"
    assert data["link"] == f"{PAGE}?show=tools&entry={tool.id}"


async def test_nothing_is_lost_and_all_is_repeated_under_its_id_after_kills(watching, store):
    records = [deletion(number) for number in range(1, 8)]
    async with receiving() as receiver:
        async with watching(DELETED, receiver) as push:
            receiver.responding.clear()
            await store.append(records[:4])
            await receiver.received(1)
            await push.kill()
        receiver.responding.set()
        async with watching(DELETED, receiver) as push:
            await receiver.received(3)
            await push.kill()
        await store.append(records[4:])  # while nothing watches
        async with watching(DELETED, receiver):
            await until_the_last_has_come(receiver, records)

    ids: dict[str, set[tuple[str, bytes]]] = {}
    for each in receiver.sent:
        ids.setdefault(each.event["data"]["entry"]["id"], set()).add((each.id, each.body))
    assert list(ids) == [str(each.id) for each in records]
    assert [len(repeated) for repeated in ids.values()] == [1] * len(records)
    assert len(receiver.sent) > len(records)


async def until_the_last_has_come(receiver, records):
    """Return when the last of *records* has come."""
    count = len(records)
    while receiver.sent[-1].event["data"]["entry"]["id"] != str(records[-1].id):
        count = max(count, len(receiver.sent)) + 1
        await receiver.received(count)


async def test_a_storm_is_one_event_that_says_how_many_and_waits_through_a_kill(watching, store):
    failures = [record(created_at=NOW + timedelta(seconds=n), status_code=500) for n in range(20)]
    async with receiving() as receiver:
        async with watching(STORM, receiver) as push:
            receiver.responding.clear()
            await store.append(failures)
            await receiver.received(1)
            await push.kill()
        receiver.responding.set()
        await store.append([record(created_at=NOW + timedelta(minutes=1), status_code=502)])
        async with watching(STORM, receiver) as push:
            await receiver.received(2)
            await metric_becomes(
                push, 1, "push_items_total", receiver="webhook", kind="storm", fate="taken"
            )
        # Without a period what waits is told at once.
        async with watching(STORM.replace("every", "#"), receiver):
            await receiver.received(3)

    first, again, rest = receiver.sent
    assert (first.id, first.body) == (again.id, again.body)
    data = first.event["data"]
    assert (data["entry"]["id"], data["count"]) == (str(failures[0].id), 20)
    assert data["last_at"] == failures[-1].created_at.isoformat()
    assert (rest.event["data"]["entry"]["status_code"], rest.event["data"]["count"]) == (502, 1)


async def test_a_new_address_of_a_token_is_told_once(watching, store):
    known, new = UUID(int=NOBODY.int + 1), {"token_id": NOBODY, "client_ip": "192.0.2.2"}
    await store.append([record(token_id=known, client_ip="192.0.2.1")])
    rules = '[[rule]]\nname = "address"\nnew = "address"\n'
    async with receiving() as receiver, watching(rules, receiver):
        first = record(created_at=NOW, **new)
        await store.append(
            [
                record(created_at=NOW, token_id=known, client_ip="192.0.2.1"),
                first,
                record(created_at=NOW + timedelta(seconds=1), **new),
            ]
        )
        await receiver.received(1)
        last = record(created_at=NOW + timedelta(seconds=2), token_id=known, client_ip="::1")
        await store.append([record(created_at=NOW + timedelta(seconds=1), **new), last])
        sent = await receiver.received(2)

    assert [each.event["data"]["entry"]["id"] for each in sent] == [str(first.id), str(last.id)]


async def test_a_receiver_that_is_away_is_waited_for_and_one_refusal_is_kept_aside(
    watching, store, tmp_path
):
    records = [deletion(number) for number in range(1, 4)]
    async with receiving() as receiver, watching(DELETED, receiver) as push:
        receiver.statuses.extendleft([503, 404, 429])
        await store.append(records[:1])
        await receiver.received(4)
        away = await push.logged("push.stalled")
        receiver.statuses.extendleft([204, 400])  # the event, and then a test
        await store.append(records[1:2])
        await push.logged("push.item_quarantined")
        await store.append(records[2:])
        sent = await receiver.received(7)

    assert (away["kind"], away["reason"][:32]) == ("deleted", "webhook is away: it responds 429")
    assert len({each.id for each in sent[:4]}) == 1
    assert sent[5].event["type"] == "push.test"
    assert sent[6].event["data"]["entry"]["id"] == str(records[2].id)
    [line] = (tmp_path / "push" / "rule-deleted.refused.ndjson").read_text().splitlines()
    kept = json.loads(line)
    assert kept["refused"]["entry"]["id"] == str(records[1].id)
    assert kept["reason"].startswith("it responds 400")


async def test_a_rule_that_comes_back_begins_with_what_comes_then(watching, store):
    missed, told = deletion(1), deletion(2)
    async with receiving() as receiver:
        async with watching(DELETED + STORM, receiver):
            pass
        async with watching(STORM, receiver) as push:
            forgotten = await push.logged("push.rule_forgotten")
            await store.append([missed])
        async with watching(None, receiver) as push:
            last = await push.logged("push.rule_forgotten")
        async with watching(DELETED, receiver):
            await store.append([told])
            [sent] = await receiver.received(1)

    assert (forgotten["rule"], last["rule"]) == ("deleted", "storm")
    assert sent.event["data"]["entry"]["id"] == str(told.id)


async def test_a_test_event_of_rules_is_sent_by_command_and_wrong_settings_are_told(tmp_path):
    async with receiving() as receiver:
        settings = {
            "AUDIT_PUSH_RULES_FILE": "rules.toml",
            "AUDIT_PUSH_WEBHOOK_URL": receiver.url,
            "AUDIT_PUSH_WEBHOOK_SECRET": SECRET,
            "AUDIT_PUSH_PAGE_URL": PAGE,
        }
        done = await console("push", "--test", directory=tmp_path, **settings)
    at = settings | {"PODWARDEN_AUDIT_URL": "http://127.0.0.1:1/"}
    missing = await console("push", directory=tmp_path, **at)
    unsigned = dict(at)
    del unsigned["AUDIT_PUSH_WEBHOOK_SECRET"]
    half = await console("push", directory=tmp_path, **unsigned)
    wrong = await console(
        "push", directory=tmp_path, **(at | {"AUDIT_PUSH_PAGE_URL": f"{PAGE}?span=7d"})
    )

    assert (done.code, done.lines) == (0, ["webhook has taken the test event"])
    [sent] = receiver.sent
    assert verified(SECRET, sent.fields, sent.body)
    assert sent.event["type"] == "push.test"
    assert (missing.code, missing.complaints) == (
        78,
        "rules.toml cannot be read: No such file or directory\n",
    )
    assert half.code == wrong.code == 78
    assert half.complaints.endswith("go together: set AUDIT_PUSH_WEBHOOK_SECRET\n")
    assert wrong.complaints.startswith("AUDIT_PUSH_PAGE_URL: write https://host/settings/mcp/")
