"""What `make run` decides and says, without running anything."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit_log.record import ToolOutcome
from deploy.local.addresses import url
from deploy.local.demo_tokens import DemoToken
from deploy.local.events import describe, is_alarming, parse
from deploy.local.guide import Places, SignInLink, guide
from deploy.local.sample.cast import INSTANCE
from deploy.local.sample.plot import day_before

PLACES = Places(
    proxy="http://127.0.0.1:8100",
    ops="http://127.0.0.1:8109",
    audit_api="http://127.0.0.1:8110",
    upstream="http://127.0.0.1:8000",
    data=Path("/somewhere/data"),
    database="postgresql://podwarden:secret@/postgres",
)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8100"),
        ("audit.example", "http://audit.example:8100"),
        ("0.0.0.0", "http://127.0.0.1:8100"),
        ("::", "http://[::1]:8100"),
        ("fd00::7", "http://[fd00::7]:8100"),
    ],
)
def test_an_address_is_told_so_that_it_can_be_called(host, expected):
    assert url(host, 8100) == expected


@pytest.mark.parametrize(
    ("line", "alarming"),
    [
        (b'{"event": "service.started", "level": "info"}\n', False),
        (b'{"event": "audit.store_unavailable", "level": "warning"}\n', True),
        (b"Traceback (most recent call last):\n", True),
        (b"\xff\n", True),
        (b"[1, 2]\n", True),
    ],
)
def test_alarms_and_what_is_no_event_are_shown(line, alarming):
    assert is_alarming(parse(line)) is alarming


def test_an_event_is_described_in_one_line():
    line = b'{"event": "upstream.failed", "level": "warning", "timestamp": "now", "port": 8000}'

    assert describe(parse(line)) == "upstream.failed port=8000"
    assert describe(parse(b"words\n")) == "words"


def test_the_guide_calls_as_viewer_and_reads_as_admin():
    tokens = {
        role: DemoToken(f"id-of-{role}", role, f"pwm_{role}") for role in ("viewer", "admin")
    }

    curls = [line for line in guide(PLACES, tokens).splitlines() if line.startswith("curl")]

    viewer = "curl -sS -H 'Authorization: Bearer pwm_viewer' 'http://127.0.0.1:8100/api/v1"
    admin = "curl -sS -H 'Authorization: Bearer pwm_admin' 'http://127.0.0.1:8100/api/v1"
    assert curls[:3] == [
        f"{viewer}/clusters'",
        f"{admin}/settings/mcp-audit?limit=5'",
        f"{admin}/settings/mcp-tokens/id-of-viewer/audit?limit=100'",
    ]
    [tool_call] = curls[3:]
    assert tool_call.startswith("curl -sS -H 'Authorization: Bearer pwm_viewer' ")
    assert "'http://127.0.0.1:8100/mcp'" in tool_call


def test_the_guide_says_where_the_page_is():
    assert f"{PLACES.audit_api}/settings/mcp/activity" in guide(PLACES, {})


def test_the_guide_has_the_sign_in_link_alone_on_a_line_and_how_to_make_another():
    link = SignInLink(f"{PLACES.audit_api}/settings/mcp/activity#sign-in=c", datetime.now(UTC))
    tokens = {"admin": DemoToken("id", "admin", "pwm_admin")}

    lines = guide(PLACES, tokens, link).splitlines()

    [again] = [line for line in lines if line.endswith("/podwarden-audit sign-in-link")]
    assert link.address in lines
    assert again.startswith(
        f"PODWARDEN_AUDIT_URL={PLACES.audit_api} PODWARDEN_AUDIT_TOKEN=pwm_admin /"
    )
    assert "#sign-in" not in guide(PLACES, tokens)


def test_a_sample_day_has_what_an_operator_meets_and_ends_before_now():
    now = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)
    day = day_before(now)

    entries, tool_calls = day.entries, day.tool_calls
    moments = [each.created_at for each in entries] + [each.created_at for each in tool_calls]
    assert now - timedelta(days=1) <= min(moments) <= max(moments) < now
    assert {entry.instance for entry in entries} == {INSTANCE}
    assert {call.instance for call in tool_calls} == {INSTANCE}
    assert {call.outcome for call in day.tool_calls} == {
        *(ToolOutcome.OK, ToolOutcome.TOOL_ERROR, ToolOutcome.PROTOCOL_ERROR),
        *(ToolOutcome.CANCELLED, ToolOutcome.DECLINED, ToolOutcome.ABANDONED),
        ToolOutcome.WORKING,
    }
    assert {1, 2} == {call.rounds for call in day.tool_calls}
    assert {200, 201, 202, 204, 401, 403, 404, 409, 429, 502, 504} == {
        entry.status_code for entry in day.entries
    }
    assert len({entry.token_id for entry in day.entries}) == 6  # five agents, and no token at all
    assert {gap.reason for gap in day.gaps} == {"journal_full", "head_lost"}


def test_the_api_calls_of_a_sample_day_name_tool_calls_that_are_there():
    day = day_before(datetime(2026, 2, 28, 3, 42, tzinfo=UTC))
    calls = {call.id: call for call in day.tool_calls}
    made = [entry for entry in day.entries if entry.invocation_id and entry.method != "TOOL"]

    assert {entry.tool for entry in made} == {
        calls[id_].tool for entry in made if (id_ := entry.invocation_id)
    }
    assert Counter(entry.invocation_id for entry in made) == {
        id_: call.api_calls for id_, call in calls.items() if call.api_calls
    }


def test_the_guide_tells_of_the_seal_only_where_the_database_is_ours():
    verify = 'podwarden-audit verify --database-url "$DB" --policy /somewhere/data/policy'
    assert guide(PLACES, {}).count(verify) == 2
    assert "verify" not in guide(replace(PLACES, database=None), {})


def test_the_guide_leaves_no_variable_behind_that_would_steer_the_next_run():
    assert "export " not in guide(PLACES, {})
    given = guide(replace(PLACES, database=None), {})
    assert "  database    the one that AUDIT_LOG_DATABASE_URL names in this shell" in given


def test_without_tokens_of_ours_the_guide_leaves_them_to_be_filled_in():
    text = guide(PLACES, {})

    assert "demo tokens" not in text
    assert "PROXY_TOKEN_QUERY" in text
    assert text.count("Bearer pwm_YOUR_TOKEN") == 6
