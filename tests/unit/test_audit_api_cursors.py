import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_api.errors import InvalidParametersError
from audit_api.query.cursors import mark, page_cursor, read_mark, read_page_cursor
from audit_log.filters import RecordFilter, one_of
from audit_log.postgres.arrivals import Snapshot, Standpoint
from audit_log.postgres.rows import Place
from tests.neighbours.forged import forged

PLACE = Place(datetime(2026, 2, 28, 3, 42, 0, 7, tzinfo=UTC), UUID(int=7))
QUESTION = RecordFilter(token_name=one_of("claude"))
CURSOR = page_cursor(QUESTION, PLACE)
SEEN = Snapshot("7000", "10:12:10,11")


def test_a_cursor_leads_back_to_its_place():
    assert read_page_cursor(CURSOR, QUESTION) == PLACE


def test_a_cursor_goes_on_with_its_own_question_only():
    with pytest.raises(InvalidParametersError):
        read_page_cursor(CURSOR, RecordFilter(token_name=one_of("other")))


@given(st.integers(0, len(CURSOR) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_cursor_that_was_altered_is_refused(at, character):
    altered = CURSOR[:at] + character + CURSOR[at + 1 :]
    if altered != CURSOR:
        with pytest.raises(InvalidParametersError):
            read_page_cursor(altered, QUESTION)


@given(st.text())
def test_whatever_else_is_given_as_a_cursor_is_refused(text):
    with pytest.raises(InvalidParametersError) as refused:
        read_page_cursor(text, QUESTION)
    assert refused.value.status == 422


@pytest.mark.parametrize("standpoint", [Standpoint(SEEN), Standpoint(SEEN, SEEN, PLACE)])
def test_a_mark_leads_back_to_its_standpoint_and_fits_into_a_header_field(standpoint):
    text = mark(standpoint)
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()
    assert read_mark(text, "query", "after") == standpoint


@pytest.mark.parametrize("text", ["", "x", CURSOR, mark(Standpoint(SEEN)) + "="])
def test_what_is_no_mark_is_refused(text):
    with pytest.raises(InvalidParametersError):
        read_mark(text, "query", "after")


def seen_as(text):
    return b'[["7000",%b]]' % json.dumps(text).encode()


def refusal_of(text):
    for read in (
        lambda: read_mark(text, "query", "after"),
        lambda: read_page_cursor(text, QUESTION),
    ):
        with pytest.raises(InvalidParametersError) as refused:
            read()
        assert refused.value.status == 422


@pytest.mark.parametrize(
    "text",
    [
        *("", "'; --", "10:12", "12:10:", "10:12:10\n", "\n10:12:10", "1:10:09", "01:10:"),
        *("1:010:", "0:1:", "0:0:", "-1:10:", "+1:10:", "1_0:12:", "\u0661:\u0662:"),
        *("1:" + "9" * 5_000 + ":", "1:" + "9" * 20 + ":", "10:12:9", "10:12:12"),
        *("10:12:11,10", "10:12:10,10", "10:12:10,"),
        *("10:12:,10", "10:12:10,,11", "10:10:10", "10:12:x", "10 : 12:", "10:12:10 "),
    ],
)
def test_a_mark_with_anything_but_a_snapshot_of_postgresql_is_refused(text):
    refusal_of(forged(seen_as(text)))


@pytest.mark.parametrize("text", ["1:1:", "10:10:", "10:12:10,11", f"1:{'9' * 19}:1"])
def test_a_mark_with_a_snapshot_is_read(text):
    assert read_mark(forged(seen_as(text)), "query", "after") == Standpoint(Snapshot("7000", text))


PLACES = ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-28T03:42:00"]


@pytest.mark.parametrize("moment", PLACES)
def test_a_place_that_no_entry_can_have_is_refused(moment):
    place = f'["{moment}","{UUID(int=7)}"]'.encode()
    digest = msgspec.json.decode(urlsafe_b64decode(CURSOR + "=" * (-len(CURSOR) % 4))[8:])[0]
    refusal_of(forged(b'["%b",%b]' % (digest.encode(), place)))
    refusal_of(forged(b'[["7000","1:2:"],["7000","1:3:"],%b]' % place))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"null", b"{}", b"[]", b"[[]]", b"[" * 100_000, b'{"a":' * 100_000, b"\xff"),
        *(b'[["\xff","1:2:"]]', b'[["7000","\xff"]]', b'[["\\ud800","1:2:"]]', b"1" * 5_000),
        *(b'[["7000",12]]', b'[[7000,"1:2:"]]', b'[["7000","1:2:"],["7000","1:3:"]]'),
        b'[["7000","1:2:"],null,null,' + b"[" * 100_000,
        b'[["7000","1:2:"],null,["2026-02-28T03:42:00Z","%b"]]' % str(UUID(int=7)).encode(),
        b'[["7000","1:2:"],["7001","1:3:"],["2026-02-28T03:42:00Z","%b"]]'
        % str(UUID(int=7)).encode(),
    ],
)
def test_a_forged_mark_of_any_content_is_refused(content):
    refusal_of(forged(content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_forged_content_breaks_the_reading(content):
    refusal_of(forged(content))


@given(
    st.from_regex(r"[0-9]{1,25}:[0-9]{1,25}:([0-9]{1,25}(,[0-9]{1,25})*)?\n?", fullmatch=True),
)
def test_a_snapshot_that_is_read_is_one_that_can_be_used(text):
    try:
        seen = read_mark(forged(seen_as(text)), "query", "after").seen
    except InvalidParametersError:
        return
    xmin, xmax, between = text.split(":")
    assert int(xmin) <= seen.end == int(xmax) < 2**64
    assert all(int(xmin) <= int(one) < int(xmax) for one in between.split(",") if one)
