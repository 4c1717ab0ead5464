import csv
import io
import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from audit_api.formats.entries import DetailedEntry
from audit_api.formats.export_formats import OF_ENTRIES, ExportFormat
from audit_api.formats.ocsf_calls import api_call_event
from audit_api.formats.table import harmless
from audit_log.record import Attribution, Outcome
from tests.neighbours.records import a_record

CSV = OF_ENTRIES[ExportFormat.CSV]
FULL = a_record(
    token_id=uuid4(),
    duration_ms=12.25,
    client_ip="2001:db8::7",
    user_agent="curl/8",
    tool="list_clusters",
    invocation_id=uuid4(),
    attribution=Attribution.EXACT,
    request_id="req-1",
)


@pytest.mark.parametrize(
    "formula",
    [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-1+1",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\u00a0=1",
        "\uff1d1",
        "'=1",
    ],
)
def test_no_cell_is_a_formula_and_each_can_be_read_back(formula):
    assert harmless(formula) == "'" + formula


@pytest.mark.parametrize("text", ["", "claude", "/api/v1/a=b", "a-b", "curl/8", "1.5"])
def test_ordinary_text_is_left_alone(text):
    assert harmless(text) == text


def test_csv_has_the_columns_of_a_detailed_entry_and_one_row_for_each():
    hostile = a_record(token_name='=1,"2"\r\n3', path="/ü🚀")
    text = (CSV.head + CSV.encode([FULL, hostile])).decode()

    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert list(first) == list(DetailedEntry.__struct_fields__)
    assert first["created_at"] == "2026-11-24T12:00:00.123456+00:00"
    assert first["duration_ms"] == "12.25"
    assert second["token_name"] == '\'=1,"2"\r\n3'
    assert second["path"] == "/ü🚀"
    assert second["token_id"] == ""


def test_csv_tells_no_value_from_empty_text():
    row = CSV.encode([a_record(token_id=None, user_agent="", tool='"')]).decode()

    cells = dict(
        zip(DetailedEntry.__struct_fields__, row.removesuffix("\r\n").split(","), strict=True)
    )
    assert cells["token_id"] == ""
    assert cells["user_agent"] == '""'
    assert cells["tool"] == '""""'


def test_ndjson_has_one_detailed_entry_on_each_line():
    lines = OF_ENTRIES[ExportFormat.NDJSON].encode([FULL, a_record(path="/\u2028\n")])
    first, second = lines.decode().split("\n")[:2]
    assert json.loads(first)["tool"] == "list_clusters"
    assert json.loads(second)["path"] == "/\u2028\n"


def test_an_ocsf_event_tells_who_did_what_and_how_it_ended():
    event = api_call_event(FULL)
    assert (event["class_uid"], event["activity_id"], event["type_uid"]) == (6003, 2, 600302)
    assert event["time"] == int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp() * 1_000) + 123
    assert event["status"] == "Success"
    assert event["actor"]["user"] == {"name": "ci", "credential_uid": FULL.token_id}
    assert event["api"]["operation"] == "GET /api/v1/clusters"
    assert event["src_endpoint"] == {"ip": "2001:db8::7"}
    assert event["http_response"] == {"code": 200}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status_code": 404}, "Failure"),
        ({"status_code": 0, "outcome": Outcome.INTERRUPTED}, "Unknown"),
        ({"status_code": 101, "outcome": Outcome.STREAMING}, "Success"),
    ],
)
def test_an_ocsf_event_invents_no_ending(fields, status):
    assert api_call_event(a_record(**fields))["status"] == status


def test_ocsf_events_stand_on_a_line_each():
    lines = OF_ENTRIES[ExportFormat.OCSF].encode([FULL, FULL]).splitlines()
    assert [json.loads(line)["class_name"] for line in lines] == [
        "API Activity",
        "API Activity",
    ]
