"""What is pushed, as the readers of OTLP and of syslog read it."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from audit_api.push.items import ENTRY, GAP, TOOL_CALL, Item, items_of
from audit_api.push.otlp import partial_success, request_of
from audit_api.push.protobuf import fields_of
from audit_api.push.syslog import MAX_BYTES, frame_of

WHEN = "2026-02-28T03:42:00.000001+00:00"
ANY = st.characters(exclude_categories=["Cs"])
LONG = st.text(ANY, max_size=9_000)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.none() | st.booleans() | INTEGERS | st.floats() | st.text(ANY, max_size=300)
NAMES = st.from_regex(r"\Ax_[a-z]{1,5}\Z")


def read_back(value):
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {each.key: read_back(each.value) for each in value.kvlist_value.values}
    return getattr(value, kind)


@settings(max_examples=50)
@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_otlp_is_what_the_library_reads(fields):
    told = {"created_at": WHEN, **fields, "nested": {"a": 1}}
    [logs] = ExportLogsServiceRequest.FromString(request_of([Item(ENTRY, told)])).resource_logs
    [record] = logs.scope_logs[0].log_records

    read = {each.key: read_back(each.value) for each in record.attributes}

    assert record.time_unix_nano == 1_772_250_120_000_001_000
    assert {name: repr(value) for name, value in read.items()} == {
        f"podwarden.audit.{name}": repr(value) for name, value in told.items() if value is not None
    }


def test_otlp_has_the_names_of_the_conventions_for_a_tool_call():
    told = {
        "created_at": WHEN,
        "tool": "t",
        "session": "s",
        "protocol_version": "2025-11-25",
        "status_code": 500,  # ours: the tool failed inside HTTP 200
    }
    [logs] = ExportLogsServiceRequest.FromString(request_of([Item(TOOL_CALL, told)])).resource_logs
    [record] = logs.scope_logs[0].log_records

    assert {each.key: read_back(each.value) for each in record.attributes} == {
        "podwarden.audit.created_at": WHEN,
        "gen_ai.tool.name": "t",
        "mcp.session.id": "s",
        "mcp.protocol.version": "2025-11-25",
        "podwarden.audit.status_code": 500,
    }


@given(st.integers(0, 2**40), st.text(max_size=50))
def test_a_partial_success_is_read_as_the_library_writes_it(rejected, reason):
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = rejected
    response.partial_success.error_message = reason.encode(errors="replace").decode()

    assert partial_success(response.SerializeToString())[0] == rejected


@given(st.binary(max_size=60))
def test_a_response_of_any_bytes_is_read_without_an_error(body):
    assert partial_success(body)[0] >= 0
    with suppress(ValueError):
        list(fields_of(body))


@settings(max_examples=50)
@given(LONG, LONG)
def test_a_syslog_message_is_counted_and_not_longer_than_receivers_take(path, agent):
    told = {"created_at": WHEN, "path": path, "user_agent": agent, "instance": "a\nb"}
    length, _, message = frame_of(Item(ENTRY, told)).partition(b" ")

    assert int(length) == len(message) <= MAX_BYTES
    head, _, body = message.partition(b" - entry - ")
    assert head == b"<110>1 2026-02-28T03:42:00.000001Z a-b podwarden-audit"
    read = json.loads(body)
    if "shortened" not in read:
        assert read == told


@pytest.mark.parametrize(
    ("item", "priority"),
    [
        (Item(ENTRY, {"created_at": WHEN, "status_code": 404}), b"<110>"),
        (Item(ENTRY, {"created_at": WHEN, "status_code": 403}), b"<108>"),
        (Item(ENTRY, {"created_at": WHEN, "status_code": 502}), b"<108>"),
        (Item(GAP, {"from": WHEN}), b"<108>"),
    ],
)
def test_refusals_failures_and_gaps_are_warnings(item, priority):
    assert frame_of(item).partition(b" ")[2].startswith(priority)
    assert item.moment == datetime(2026, 2, 28, 3, 42, 0, 1, UTC)


def test_gaps_are_told_among_entries_and_not_again_among_tool_calls():
    body = b'{"kind":"gap","from":"x"}\n{"id":"y"}\n'

    assert [item.kind for item in items_of(body, ENTRY)] == [GAP, ENTRY]
    assert [item.kind for item in items_of(body, TOOL_CALL)] == [TOOL_CALL]
