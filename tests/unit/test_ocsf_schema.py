"""OCSF events against the published schema, as the package `ocsf-json-schema` brings it."""

import json
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from audit_api.formats.ocsf import VERSION, ocsf_lines
from audit_log.record import Attribution, Outcome
from tests.neighbours.records import a_record

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


@pytest.fixture(scope="module")
def published() -> Draft202012Validator:
    schema: dict[str, Any] = OcsfJsonSchemaEmbedded(
        get_ocsf_schema(version=VERSION)
    ).get_class_schema("api_activity")
    return Draft202012Validator(schema, format_checker=FormatChecker())


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_an_event_is_valid_api_activity(published, record):
    [event] = map(json.loads, ocsf_lines([record]).splitlines())
    assert [error.message for error in published.iter_errors(event)] == []


def test_the_published_schema_refuses_what_it_does_not_know(published):
    [event] = map(json.loads, ocsf_lines([RECORDS["little"]]).splitlines())
    assert list(published.iter_errors(event | {"colour": "red"}))
    del event["actor"]
    assert list(published.iter_errors(event))
