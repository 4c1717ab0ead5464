from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import pairwise
from math import inf, nextafter
from urllib.parse import parse_qsl
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_api.errors import InvalidParametersError
from audit_api.query.buckets import Bucket, divided
from audit_api.query.facets import StatsParams
from audit_api.query.params import (
    EntriesParams,
    ExportParams,
    InvocationsParams,
    StreamParams,
    TokenPath,
)
from audit_api.query.reading import read_path, read_query
from audit_log.filters import Among, StoredFilter, ToolCallFilter, none_of, one_of
from audit_log.record import Outcome, ToolOutcome

TOKEN_ID = UUID("0198d5b0-6f00-7c3e-8a52-0123456789ab")
NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)


def asked(**query: str) -> EntriesParams:
    return read_query(EntriesParams, query.items())


def complaints(kind, query) -> list[tuple[list[str], str]]:
    with pytest.raises(InvalidParametersError) as refused:
        read_query(kind, query)
    assert refused.value.status == 422
    detail = refused.value.detail
    assert isinstance(detail, list)
    assert all(list(complaint) == ["loc", "msg", "type"] for complaint in detail)
    return [(complaint["loc"], complaint["type"]) for complaint in detail]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (None, 100),
        ("1", 1),
        ("007", 7),
        ("499", 499),
        ("500", 500),
        ("501", 500),
        ("9" * 5_000, 500),
        ("0" * 5_000 + "3", 3),
    ],
)
def test_a_limit_is_100_unless_asked_for_and_500_at_most(text, limit):
    assert asked(**{} if text is None else {"limit": text}).limit == limit


@pytest.mark.parametrize("text", ["0", "-0", "-1", "000", "-" + "9" * 5_000])
def test_a_limit_below_1_is_refused(text):
    assert complaints(EntriesParams, [("limit", text)]) == [
        (["query", "limit"], "greater_than_equal")
    ]


@pytest.mark.parametrize(
    "text",
    ["", " ", "ten", "1.5", "5.0", "1e2", "0x10", "1_0", "\u0661\u0662", "5 ", "--5", "5\n"],
)
def test_a_limit_that_is_no_whole_number_is_refused(text):
    assert complaints(EntriesParams, [("limit", text)]) == [(["query", "limit"], "int_parsing")]


@given(st.text())
def test_a_limit_is_between_1_and_500_or_refused_whatever_is_asked(text):
    with suppress(InvalidParametersError):
        assert 1 <= asked(limit=text).limit <= 500


@pytest.mark.parametrize("text", [str(TOKEN_ID), str(TOKEN_ID).upper(), TOKEN_ID.hex])
def test_an_id_is_a_uuid_in_either_case_with_or_without_hyphens(text):
    assert read_path(TokenPath, {"token_id": text}).token_id == TOKEN_ID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        str(TOKEN_ID)[:-1],
        str(TOKEN_ID) + "0",
        str(TOKEN_ID) + "\n",
        f"{{{TOKEN_ID}}}",
        f"urn:uuid:{TOKEN_ID}",
        "-".join(TOKEN_ID.hex),
        "\u0660" * 32,
        "0198d5b0-6f00-7c3e-8a52-0123456789a\u212a",
    ],
)
def test_an_id_that_is_no_uuid_is_refused(text):
    with pytest.raises(InvalidParametersError) as refused:
        read_path(TokenPath, {"token_id": text})
    assert refused.value.detail == [
        {
            "loc": ["path", "token_id"],
            "msg": "This should be a UUID: 32 hexadecimal digits, with hyphens or without",
            "type": "uuid_parsing",
        }
    ]


def test_all_filters_are_read():
    query = asked(
        token_name="claude",
        token_id=str(TOKEN_ID),
        method="GET",
        status="4xx",
        outcome="refused",
        path="/api/v1/*/logs",
        tool="list_clusters",
        invocation_id=TOKEN_ID.hex,
        client_ip="10.0.0.0/8",
        since="2026-02-28T12:00:00+00:00",
        until="2026-02-28T13:00:00Z",
        session=TOKEN_ID.hex,
        client_name="claude-code",
        client_version="2.1.7",
        protocol_version="2025-11-25",
        principal="anna",
    )
    assert query.filter() == StoredFilter(
        token_name=one_of("claude"),
        token_id=one_of(TOKEN_ID),
        method=one_of("GET"),
        status=one_of(range(400, 500)),
        outcome=one_of(Outcome.REFUSED),
        path=one_of("/api/v1/*/logs"),
        tool=one_of("list_clusters"),
        invocation_id=one_of(TOKEN_ID),
        client_ip=one_of(ip_network("10.0.0.0/8")),
        since=NOON,
        until=NOON + timedelta(hours=1),
        session=one_of(TOKEN_ID),
        client_name=one_of("claude-code"),
        client_version=one_of("2.1.7"),
        protocol_version=one_of("2025-11-25"),
        principal=one_of("anna"),
    )


SEVERAL = [
    ("method=POST,DELETE", {"method": one_of("POST", "DELETE")}),
    ("method!=GET", {"method": none_of("GET")}),
    ("status=4xx,5xx,0", {"status": one_of(range(400, 500), range(500, 600), range(1))}),
    ("status=4xx&status!=404", {"status": Among((range(400, 500),), (range(404, 405),))}),
    ("token_name!=ci,claude", {"token_name": none_of("ci", "claude")}),
    ("token_name=a\\,b,c", {"token_name": one_of("a,b", "c")}),
    ("path=/a,b", {"path": one_of("/a,b")}),
    ("user_agent=Mozilla/5.0 (KHTML, like", {"user_agent": one_of("Mozilla/5.0 (KHTML, like")}),
    ("object=clusters/12,hosts/3", {"object": one_of("clusters/12", "hosts/3")}),
    ("changes=true&refused=false", {"changes": True, "refused": False}),
    ("request_id=r-1&instance=a,b", {"request_id": one_of("r-1"), "instance": one_of("a", "b")}),
    ("duration_ms>=100", {"least_ms": 100.0}),
    ("duration_ms<=0.5", {"most_ms": 0.5}),
    ("duration_ms>100", {"least_ms": nextafter(100, inf)}),
    ("duration_ms>100.00&duration_ms<=200", {"least_ms": nextafter(100, inf), "most_ms": 200.0}),
    ("session!=" + TOKEN_ID.hex, {"session": none_of(TOKEN_ID)}),
]


@pytest.mark.parametrize(("query", "filters"), SEVERAL, ids=[query for query, _ in SEVERAL])
def test_several_values_and_none_of_them_are_read_as_they_stand_in_an_address(query, filters):
    parts = parse_qsl(query, keep_blank_values=True)
    assert read_query(EntriesParams, parts).filter() == StoredFilter(**filters)


def test_lists_exports_streams_and_counts_take_the_same_filters():
    names = {
        kind: {field.alias or name for name, field in kind.model_fields.items()}
        for kind in (EntriesParams, ExportParams, StatsParams, StreamParams, InvocationsParams)
    }
    own = {
        "around",
        "limit",
        "cursor",
        "expand",
        "format",
        "after",
        "bucket",
        "zone",
        "by",
        "kind",
        "compare",
    }
    names_of_the_agent = (
        *("session", "principal"),
        *("client_name", "client_version", "protocol_version"),
    )
    of_the_agent = {f"{name}{sign}" for name in names_of_the_agent for sign in ("", "!")}
    of_calls = names[EntriesParams] - own
    assert names[ExportParams] - own == names[StatsParams] - own == of_calls
    assert names[StreamParams] - own == of_calls - of_the_agent
    of_api_calls = {"method", "path", "object", "changes", "refused"}
    assert names[InvocationsParams] - own == of_calls - of_api_calls - {
        f"{name}!" for name in of_api_calls
    }


def test_tool_calls_are_asked_for_in_the_same_way():
    query = [("tool", "a,b"), ("outcome!", "ok"), ("duration_ms>", "5")]
    assert read_query(InvocationsParams, query).filter() == ToolCallFilter(
        tool=one_of("a", "b"), outcome=none_of(ToolOutcome.OK), least_ms=5
    )


MESSAGES = [
    ("stauts", "4xx", "There is no such parameter: is `status` meant?"),
    ("duration_ms", "5", "There is no such parameter: is `duration_ms>` meant?"),
    ("outcome", "ok", "This should be one of: completed, streaming, refused, "),
    ("format", "xml", "This should be `csv`, `ndjson` or `ocsf`"),
    ("limit", "x", "This should be a whole number, such as 100"),
    ("limit", "0", "This should be 1 or more"),
    ("status", "4xx,", "This should be a status code like 401, or a class like 4xx"),
    ("duration_ms>", "1s", "This should be a number of milliseconds, such as 1500"),
    ("object", "//", "This should be the path of an object, such as clusters/12"),
]


@pytest.mark.parametrize(("name", "text", "message"), MESSAGES)
def test_what_is_wrong_is_said_in_words_and_with_what_would_be_right(name, text, message):
    with pytest.raises(InvalidParametersError) as refused:
        read_query(ExportParams, [(name, text)])
    [problem] = refused.value.detail
    assert str(problem["msg"]).startswith(message)
    assert problem["loc"] == ["query", name]


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-28T12:00:00+00:00",
        "2026-02-28T12:00:00 00:00",
        "2026-02-28T12:00:00Z",
        "2026-02-28T12:00:00",
        "2026-02-28T13:00:00 0100",
        "2026-02-28 12:00",
        "20260228T120000Z",
    ],
)
def test_a_moment_is_iso_8601_also_when_its_plus_was_not_escaped(text):
    assert asked(since=text).since == NOON


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_moment_at_the_end_of_the_calendar_is_a_moment(text):
    since = asked(since=text).since
    assert since is not None
    assert since.astimezone(UTC).tzinfo is UTC


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("status", "99", "status"),
        ("status", "6xx", "status"),
        ("status", "404\n", "status"),
        ("outcome", "fine", "enum"),
        ("unknown_tokens", "1", "bool_parsing"),
        ("unknown_tokens", "True", "bool_parsing"),
        ("unknown_tokens", "", "bool_parsing"),
        ("client_ip", "10.0.0.0/33", "network"),
        ("client_ip", "fe80::%eth0/64", "network"),
        ("client_ip", "somewhere", "network"),
        ("since", "yesterday", "datetime_parsing"),
        ("since", "2026-02-30T00:00:00Z", "datetime_parsing"),
        ("token_id", "1", "uuid_parsing"),
        ("token_name", "", "text"),
        ("token_name", "a\0b", "text"),
        ("path", "/\udcff", "text"),
        ("tool", "x" * 2_049, "text"),
        ("expand", "everything", "literal_error"),
        ("colour", "red", "extra_forbidden"),
        ("Limit", "2", "extra_forbidden"),
    ],
)
def test_a_bad_value_and_an_unknown_parameter_are_refused_by_name(name, text, kind):
    assert complaints(EntriesParams, [(name, text)]) == [(["query", name], kind)]


def test_everything_that_is_wrong_is_told_at_once():
    found = complaints(EntriesParams, [("limit", "0"), ("status", "x"), ("colour", "red")])
    assert {location[1] for location, _ in found} == {"limit", "status", "colour"}


def test_a_parameter_given_twice_is_refused_rather_than_half_ignored():
    assert complaints(EntriesParams, [("status", "401"), ("status", "403")]) == [
        (["query", "status"], "repeated")
    ]


def test_an_export_is_whole_unless_a_limit_asks_for_a_part():
    assert read_query(ExportParams, []).limit is None
    assert read_query(ExportParams, [("limit", "5")]).limit == 5
    assert read_query(ExportParams, [("limit", "999999")]).limit == 10_000


NOW = NOON + timedelta(minutes=7, seconds=3)


def edges(oldest: datetime | None = None, /, **query: str) -> tuple[str, list[datetime]]:
    params = read_query(StatsParams, query.items())
    bucket, found = divided(params, params, NOW, oldest)
    return bucket, found


def span(**query: str):
    _, found = edges(**query)
    return found[0], found[-1]


def test_by_default_the_last_buckets_are_counted_up_to_the_end_of_this_one():
    assert span() == (NOON - timedelta(hours=59), NOON + timedelta(hours=1))
    assert span(bucket="minute")[1] == NOON + timedelta(minutes=8)
    assert span(bucket="day") == (
        datetime(2026, 1, 29, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
    )


def test_no_more_is_counted_than_1500_buckets():
    with pytest.raises(InvalidParametersError) as refused:
        edges(since="2026-02-26T00:00:00Z", bucket="minute")
    [problem] = refused.value.detail
    assert problem["loc"] == ["query", "bucket"]
    assert str(problem["msg"]).startswith("1,500 buckets are counted at most")


def test_buckets_begin_in_utc_unless_a_zone_is_named():
    moment = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)
    assert Bucket.MINUTE.start(moment) == datetime(2026, 2, 28, 23, 59, tzinfo=UTC)
    assert Bucket.HOUR.start(moment) == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert Bucket.DAY.start(moment) == datetime(2026, 2, 28, tzinfo=UTC)
    assert Bucket.DAY.start(moment, ZoneInfo("Europe/Berlin")) == datetime(
        2026, 2, 28, 23, tzinfo=UTC
    )
    assert Bucket.WEEK.start(moment) == datetime(2026, 2, 23, tzinfo=UTC)
    assert Bucket.MONTH.start(moment) == datetime(2026, 2, 1, tzinfo=UTC)


def test_the_days_of_a_zone_are_as_long_as_its_clocks_say():
    _, found = edges(
        bucket="day",
        zone="Europe/Berlin",
        since="2026-03-27T23:00:00Z",
        until="2026-03-31T22:00:00Z",
    )
    assert [later - earlier for earlier, later in pairwise(found)] == [
        timedelta(hours=hours) for hours in (24, 23, 24, 24)
    ]
    assert edges(bucket="hour", zone="+05:30", since="2026-02-28T12:00:00Z")[1][0] == (
        NOON - timedelta(minutes=30)
    )


@pytest.mark.parametrize("zone", ["Mars/Olympus", "+25:00", "../../etc/passwd", "/etc/passwd", ""])
def test_what_is_no_time_zone_is_refused(zone):
    assert complaints(StatsParams, [("zone", zone)]) == [(["query", "zone"], "zone")]


@pytest.mark.parametrize(
    ("days", "bucket"),
    [(0.1, "minute"), (7, "hour"), (90, "day"), (400, "week"), (4_000, "month")],
)
def test_buckets_that_fit_all_time_are_chosen(days, bucket):
    oldest = NOW - timedelta(days=days)
    found, buckets = edges(oldest, bucket="auto")
    assert found == bucket
    assert buckets[0] <= oldest < buckets[1]
    assert buckets[-2] <= NOW <= buckets[-1]
    assert len(buckets) <= 300


@pytest.mark.parametrize("bucket", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("zone", ["UTC", "+14:00", "-12:00"])
def test_the_ends_of_the_calendar_are_no_trouble(bucket, zone):
    edges(bucket=bucket, zone=zone, since="0001-01-01T00:00:00Z", until="0001-03-01T00:00:00Z")
    edges(bucket=bucket, zone=zone, since="9999-12-30T00:00:00Z", until="9999-12-31T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("203.0.113.9:41822", "203.0.113.9/32"),
        ("[2001:db8::7]:443", "2001:db8::7/128"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("fe80::1%eth0", "fe80::1/128"),
    ],
)
def test_an_address_may_be_given_as_it_stands_in_a_log(text, network):
    found = read_query(EntriesParams, [("client_ip", text)]).filter()

    assert found.client_ip == one_of(ip_network(network))
