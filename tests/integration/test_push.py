"""`podwarden-audit push`: what receivers take, refuse and miss."""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from audit_log.postgres.token_table import TokenTable
from tests.neighbours.audit_api import record, url_of_audit_api
from tests.neighbours.certificates import LOOPBACK, self_signed
from tests.neighbours.collector import values
from tests.neighbours.console import console
from tests.neighbours.hop import hop_to
from tests.neighbours.log_receivers import receiving_logs, receiving_syslog
from tests.neighbours.ops import metric, metric_becomes
from tests.neighbours.records import a_gap, a_tool_call
from tests.neighbours.rotel import rotel_before
from tests.neighbours.services import refusing_port, running

BEGAN = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)


def some(count, **fields):
    return [record(created_at=BEGAN + timedelta(seconds=n), **fields) for n in range(count)]


def ids_of(records):
    return [str(each.id) for each in records]


@pytest.fixture
async def source(database, database_url):
    """The environment that leads the push to an audit API."""
    _, secret = await TokenTable(database).create("collector", "admin", 90)
    async with url_of_audit_api(database_url) as url:
        yield {"PODWARDEN_AUDIT_URL": url, "PODWARDEN_AUDIT_TOKEN": secret}


@asynccontextmanager
async def pushing(source, marks, **settings):
    environment = {"AUDIT_PUSH_DIR": str(marks), "AUDIT_PUSH_OPS_PORT": "0"}
    async with running("deploy.console", environment | source | settings, "push") as push:
        yield push


async def test_a_receiver_of_otlp_takes_what_is_there_and_what_arrives(source, store, tmp_path):
    told = record(
        method="DELETE",
        path="/api/v1/clusters/12",
        status_code=403,
        duration_ms=1.5,
        user_agent="claude-code/2.1",
    )
    await store.append([told])
    async with receiving_logs() as receiver:
        header = {"AUDIT_PUSH_OTLP_HEADER": "Authorization: Bearer of-the-siem"}
        async with pushing(source, tmp_path, AUDIT_PUSH_OTLP_URL=receiver.url, **header) as push:
            await receiver.until(lambda: receiver.ids == [str(told.id)])
            later = some(3)
            await store.append(later)
            await receiver.until(lambda: receiver.ids == ids_of([told, *later]))
            await metric_becomes(
                push, 4, "push_items_total", receiver="otlp", kind="entry", fate="taken"
            )
            await metric_becomes(push, 0, "push_lag_seconds", receiver="otlp", kind="entry")
        last = some(1)
        await store.append(last)
        async with pushing(source, tmp_path, AUDIT_PUSH_OTLP_URL=receiver.url, **header):
            await receiver.until(lambda: len(receiver.ids) > 4)

    assert receiver.ids == ids_of([told, *later, *last])
    assert receiver.fields["Authorization"] == "Bearer of-the-siem"
    first = receiver.taken[0]
    assert first.time_unix_nano == int(BEGAN.timestamp()) * 10**9
    assert (first.severity_text, first.event_name) == ("WARN", "podwarden.audit.entry")
    assert first.body.string_value == "claude DELETE /api/v1/clusters/12 403"
    attributes = values(first)
    assert attributes["http.response.status_code"] == 403
    assert attributes["podwarden.audit.duration_ms"] == 1.5
    assert attributes["user_agent.original"] == "claude-code/2.1"


def has_at_least(receiver, count):
    return len(receiver.ids) >= count


async def test_all_arrive_in_order_at_least_once_after_kills(source, store, tmp_path):
    records = some(1_200)
    await store.append(records)
    async with receiving_logs() as receiver:
        for least in (1, 501):
            async with pushing(source, tmp_path, AUDIT_PUSH_OTLP_URL=receiver.url) as push:
                await receiver.until(partial(has_at_least, receiver, least))
                await push.kill()
        async with pushing(source, tmp_path, AUDIT_PUSH_OTLP_URL=receiver.url):
            await receiver.until(lambda: receiver.ids[-1] == str(records[-1].id))

    assert list(dict.fromkeys(receiver.ids)) == ids_of(records)


async def test_a_receiver_that_is_away_is_waited_for_and_told(source, store, tmp_path):
    [waits] = some(1)
    await store.append([waits])
    async with receiving_logs() as receiver:
        receiver.judge = lambda _: ([500, 429][receiver.asked % 2], 0)
        async with pushing(source, tmp_path, AUDIT_PUSH_OTLP_URL=receiver.url) as push:
            await receiver.until(lambda: receiver.asked >= 2)
            await metric_becomes(push, 1, "push_is_degraded", receiver="otlp", kind="entry")
            lag = await metric(push, "push_lag_seconds", receiver="otlp", kind="entry")
            receiver.judge = lambda _: (200, 0)
            await receiver.until(lambda: bool(receiver.ids))
            await metric_becomes(push, 0, "push_is_degraded", receiver="otlp", kind="entry")
            await push.logged("push.resumed")
            events = [event["event"] for event in push.log]

    assert receiver.ids == ids_of([waits])
    assert lag > 0
    assert events.count("push.stalled") == events.count("push.resumed") == 1


@pytest.mark.parametrize("judgement", [(400, 0), (413, 0), (200, 1)])
async def test_what_a_receiver_refuses_is_kept_aside_and_the_rest_is_taken(
    source, store, tmp_path, judgement
):
    before, refused, after = some(3)
    await store.append([before, refused, after])
    async with receiving_logs() as receiver:

        def judge(records):
            ids = {values(each).get("podwarden.audit.id") for each in records}
            return judgement if str(refused.id) in ids else (200, 0)

        receiver.judge = judge
        async with pushing(source, tmp_path, AUDIT_PUSH_OTLP_URL=receiver.url) as push:
            await metric_becomes(
                push, 1, "push_items_total", receiver="otlp", kind="entry", fate="quarantined"
            )
            [alone] = some(1)
            refused = alone
            await store.append([alone])
            await metric_becomes(
                push, 2, "push_items_total", receiver="otlp", kind="entry", fate="quarantined"
            )

    refusals = tmp_path / "otlp-entry.refused.ndjson"
    assert receiver.ids == ids_of([before, after])
    kept = [json.loads(line) for line in refusals.read_text().splitlines()]
    assert kept[1]["refused"]["id"] == str(alone.id)
    assert "it responds 4" in kept[0]["reason"] or "it dropped 1 of 1" in kept[0]["reason"]


async def test_nothing_is_kept_aside_while_a_receiver_refuses_everything(source, store, tmp_path):
    records = some(3)
    await store.append(records)
    async with receiving_logs() as receiver:
        receiver.judge = lambda _: (400, 0)
        async with pushing(source, tmp_path, AUDIT_PUSH_OTLP_URL=receiver.url) as push:
            await metric_becomes(push, 1, "push_is_degraded", receiver="otlp", kind="entry")
            receiver.judge = lambda _: (200, 0)
            await receiver.until(lambda: receiver.ids == ids_of(records))
            assert (
                await metric(
                    push, "push_items_total", receiver="otlp", kind="entry", fate="quarantined"
                )
                == 0
            )


async def test_the_database_itself_is_read_as_soon_as_it_is_there(store, database_url, tmp_path):
    records = some(3)
    await store.append(records)
    async with receiving_logs() as receiver, hop_to(database_url, is_open=False) as hop:
        source = {"AUDIT_LOG_DATABASE_URL": hop.url, "AUDIT_PUSH_OTLP_URL": receiver.url}
        async with pushing(source, tmp_path) as push:
            away = await push.logged("push.stalled")
            await hop.open()
            await receiver.until(lambda: receiver.ids == ids_of(records))

    assert away["reason"].startswith("the audit log cannot be read: The audit log is out of reach")


async def test_tool_calls_and_gaps_are_pushed_once_each(source, store, tmp_path):
    gap = a_gap(BEGAN, count=7)
    call = a_tool_call()
    await store.append_gaps([gap])
    await store.append_invocations([call])
    async with (
        receiving_logs() as receiver,
        pushing(source, tmp_path, AUDIT_PUSH_OTLP_URL=receiver.url) as push,
    ):
        await receiver.until(lambda: len(receiver.ids) >= 2)
        await metric_becomes(
            push, 1, "push_items_total", receiver="otlp", kind="tool_call", fate="taken"
        )

    told = {each.event_name: values(each) for each in receiver.taken}
    assert len(receiver.taken) == 2
    assert told["podwarden.audit.gap"]["podwarden.audit.count"] == 7
    assert told["podwarden.audit.tool_call"]["gen_ai.tool.name"] == "list_clusters"


async def test_a_collector_that_others_keep_takes_it(source, store, tmp_path):
    records = some(3)
    await store.append(records)
    async with (
        receiving_logs() as receiver,
        rotel_before(receiver) as url,
        pushing(source, tmp_path, AUDIT_PUSH_OTLP_URL=url),
    ):
        await receiver.until(lambda: receiver.ids == ids_of(records))


async def test_a_receiver_of_syslog_reads_counted_messages_over_tls(source, store, tmp_path):
    context, authority = self_signed(LOOPBACK, tmp_path)
    long = record(path="/api/v1/" + 2_000 * "é", user_agent=5_000 * "x", instance="a b")
    gap = a_gap(BEGAN)
    await store.append([long])
    await store.append_gaps([gap])
    async with receiving_syslog(context) as receiver:
        receiver.resets = 2
        at = {
            "AUDIT_PUSH_SYSLOG_URL": f"tls://127.0.0.1:{receiver.port}",
            "AUDIT_PUSH_CA_FILE": str(authority),
        }
        async with pushing(source, tmp_path, **at):
            await receiver.until(lambda: len(receiver.messages) > 0)
            await store.append(some(600))
            await receiver.until(lambda: len(receiver.messages) >= 601)

    [first] = [message for message in receiver.messages if str(long.id).encode() in message]
    head, told = first.split(b"{", 1)
    assert head == b"<110>1 2026-02-28T03:42:00.000000Z a-b podwarden-audit - entry - "
    assert json.loads(b"{" + told)["shortened"][0] == "user_agent"
    assert all(len(message) <= 8_000 for message in receiver.messages)


async def test_a_test_event_is_pushed_by_command(tmp_path):
    async with receiving_logs() as otlp, receiving_syslog() as syslog:
        settings = {
            "AUDIT_PUSH_OTLP_URL": otlp.url,
            "AUDIT_PUSH_SYSLOG_URL": f"tcp://127.0.0.1:{syslog.port}",
        }
        done = await console("push", "--test", directory=tmp_path, **settings)
        with refusing_port() as port:
            settings["AUDIT_PUSH_SYSLOG_URL"] = f"tls://127.0.0.1:{port}"
            failed = await console("push", "--test", directory=tmp_path, **settings)

    assert (done.code, done.complaints) == (0, "")
    assert done.lines == [
        "otlp has taken the test event",
        "syslog has taken the test event",
    ]
    assert otlp.taken[0].event_name == "podwarden.audit.test"
    assert b" - test - {" in syslog.messages[0]
    assert failed.code == 75
    assert failed.complaints == "syslog did not take the test event: Connection refused\n"


WRONG = [
    ({}, "set AUDIT_PUSH_OTLP_URL, AUDIT_PUSH_SYSLOG_URL or AUDIT_PUSH_RULES_FILE\n"),
    ({"AUDIT_PUSH_SYSLOG_URL": "siem:514"}, "AUDIT_PUSH_SYSLOG_URL: write tls://host:port"),
    ({"AUDIT_PUSH_OTLP_URL": "collector"}, "AUDIT_PUSH_OTLP_URL: write http://host:4318"),
    ({"AUDIT_PUSH_OTLP_HEADER": "secret"}, "AUDIT_PUSH_OTLP_HEADER: write one header field"),
    ({"AUDIT_PUSH_OTLP_URL": "http://x:1/"}, "set PODWARDEN_AUDIT_URL and PODWARDEN_AUDIT_TOKEN"),
    (
        {
            "AUDIT_PUSH_OTLP_URL": "https://x:1/",
            "AUDIT_PUSH_CA_FILE": "none",
            "PODWARDEN_AUDIT_URL": "http://x:1/",
        },
        "AUDIT_PUSH_CA_FILE: none cannot be read: No such file or directory\n",
    ),
]


async def test_a_wrong_setting_is_told_in_a_line(tmp_path):
    for settings, complaint in WRONG:
        done = await console("push", directory=tmp_path, **settings)

        assert (done.code, done.complaints[: len(complaint)]) == (78, complaint)
