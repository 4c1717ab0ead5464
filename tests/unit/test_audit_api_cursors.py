from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_api.errors import InvalidParametersError
from audit_api.query.cursors import mark, page_cursor, read_mark, read_page_cursor
from audit_log.filters import RecordFilter
from audit_log.postgres.arrivals import Snapshot, Standpoint
from audit_log.postgres.rows import Place

PLACE = Place(datetime(2026, 2, 28, 3, 42, 0, 7, tzinfo=UTC), UUID(int=7))
QUESTION = RecordFilter(token_name="claude")
CURSOR = page_cursor(QUESTION, PLACE)
SEEN = Snapshot("7000", "10:12:10,11")


def test_a_cursor_leads_back_to_its_place():
    assert read_page_cursor(CURSOR, QUESTION) == PLACE


def test_a_cursor_goes_on_with_its_own_question_only():
    with pytest.raises(InvalidParametersError):
        read_page_cursor(CURSOR, RecordFilter(token_name="other"))


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


def test_a_mark_holds_a_snapshot_and_nothing_else():
    with pytest.raises(InvalidParametersError):
        read_mark(mark(Standpoint(Snapshot("7000", "'; --"))), "query", "after")
