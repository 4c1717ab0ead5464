"""OCSF events against the published schema, as the package `ocsf-json-schema` brings it."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from audit_api.formats.ocsf import VERSION, Event, lines_of
from audit_api.formats.ocsf_calls import api_call_event, tool_call_event
from audit_api.formats.ocsf_gaps import gap_event
from audit_log.record import (
    Attribution,
    Gap,
    Invocation,
    Origin,
    Outcome,
    ToolOutcome,
    new_record_id,
)
from tests.neighbours.records import ARRIVAL, a_record, a_tool_call

Validator = Callable[[dict[str, Any]], list[str]]
CLASSES: dict[object, str] = {6003: "api_activity", 1008: "event_log_actvity"}
RECORDS = {
    "all that is known": a_record(
        token_id=uuid4(),
        duration_ms=12.25,
        client_ip="2001:db8::7",
        user_agent="curl/8",
        tool="list_clusters",
        invocation_id=uuid4(),
        attribution=Attribution.EXACT,
        request_id="req-1",
    ),
    "little": a_record(),
    "interrupted": a_record(status_code=0, outcome=Outcome.INTERRUPTED),
    "refused": a_record(status_code=401, outcome=Outcome.REFUSED),
    "through the Hub": a_record(method="TOOL", path="/mcp/tool/list_clusters"),
    **{
        method: a_record(method=method)
        for method in ("POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND")
    },
}


TOOL_CALLS: dict[str, Invocation] = {
    "all that is known": a_tool_call(
        token_id=uuid4(),
        outcome=ToolOutcome.PROTOCOL_ERROR,
        duration_ms=12.25,
        client_ip="2001:db8::7",
        user_agent="agent/1",
        session=uuid4(),
        protocol_version="2025-06-18",
        client_name="claude",
        client_version="2",
        error_code=-32603,
        rounds=3,
        principal="anna",
        claims={"com.example/run": "r-7", "step": 3},
        request_id="req-1",
        arrived_at=ARRIVAL,
    ),
    "little": a_tool_call(),
    "through the Hub": a_tool_call(origin=Origin.HUB),
    **{outcome.value: a_tool_call(outcome=outcome) for outcome in ToolOutcome},
}
GAPS = [
    Gap(
        id=new_record_id(),
        started_at=ARRIVAL,
        ended_at=ARRIVAL,
        count=count,
        reason="journal_full",
        instance="sidecar-1",
    )
    for count in (None, 25_000)
]


@pytest.fixture(scope="module")
def validator() -> Validator:
    """Return what is wrong with an event, by the published schema of its class and profiles."""
    schema = get_ocsf_schema(version=VERSION)
    made: dict[object, Draft202012Validator] = {}

    def complaints(event: dict[str, Any]) -> list[str]:
        profiles = event["metadata"].get("profiles", [])
        key = event["class_uid"], *profiles
        if key not in made:
            kind = OcsfJsonSchemaEmbedded(schema).get_class_schema(CLASSES[key[0]], profiles)
            made[key] = Draft202012Validator(kind, format_checker=FormatChecker())
        return [error.message for error in made[key].iter_errors(event)]

    return complaints


def as_sent(event: Event) -> Any:
    return json.loads(lines_of([event]))


@pytest.mark.parametrize(
    "event",
    [
        *map(api_call_event, RECORDS.values()),
        *map(tool_call_event, TOOL_CALLS.values()),
        *map(gap_event, GAPS),
    ],
    ids=[*RECORDS, *(f"tool call: {kind}" for kind in TOOL_CALLS), "a gap", "a counted gap"],
)
def test_an_event_is_valid(validator, event):
    assert validator(as_sent(event)) == []


def test_the_published_schema_refuses_what_it_does_not_know(validator):
    event = as_sent(api_call_event(RECORDS["little"]))
    assert validator(event | {"colour": "red"})
    # What is of a profile is unknown to an event that does not say so.
    assert validator(event | {"message_context": {"service": {"name": "x"}}})
    del event["actor"]
    assert validator(event)


def test_what_a_tool_did_is_an_operation_of_an_ai_and_names_the_tool_call():
    tool_call = TOOL_CALLS["all that is known"]
    record = a_record(tool=tool_call.tool, invocation_id=tool_call.id)
    told, caused = as_sent(tool_call_event(tool_call)), as_sent(api_call_event(record))

    for event in (told, caused):
        assert event["metadata"]["profiles"] == ["ai_operation"]
        assert event["metadata"]["correlation_uid"] == str(tool_call.id)
        assert (
            event["message_context"].items()
            >= {
                "ai_role_id": 3,
                "name": "list_clusters",
                "service": {"name": "PodWarden MCP server"},
                "uid": str(tool_call.id),
            }.items()
        )
    assert told["message_context"]["application"] == {"name": "claude", "version": "2"}
    assert told["actor"]["session"] == {"uid": str(tool_call.session)}
    assert (told["activity_name"], told["type_name"]) == ("tools/call", "API Activity: Other")


def test_on_whose_behalf_a_tool_was_called_and_what_its_client_claims_is_unmapped():
    calls = TOOL_CALLS["all that is known"], TOOL_CALLS["little"]
    told, little = (as_sent(tool_call_event(call))["unmapped"] for call in calls)

    assert told == {
        "api_calls": 0,
        "origin": "mcp",
        "rounds": 3,
        "principal": "anna",
        "claims": {"com.example/run": "r-7", "step": 3},
    }
    assert little == {"api_calls": 0, "origin": "mcp", "rounds": 1}


def test_nothing_is_unmapped_and_no_profile_applies_where_no_tool_was():
    event = as_sent(api_call_event(RECORDS["little"]))

    assert "unmapped" not in event
    assert "profiles" not in event["metadata"]
