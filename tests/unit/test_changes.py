"""A state that is told often and logged once a change."""

import structlog
from structlog.testing import capture_logs

from audit_log.process.changes import LoggedState


def lines_of(told, **settings):
    """Return what is logged when each of *told* is noted in turn."""
    with capture_logs() as lines:
        state = LoggedState(structlog.get_logger(), fails="went", works="came", **settings)
        for reason in told:
            state.note(reason)
    return [(line["event"], line["log_level"], line.get("reason")) for line in lines]


def test_a_failure_and_its_end_are_one_line_each():
    assert lines_of([None, "away", "still away", None, None, "again"]) == [
        ("went", "warning", "away"),
        ("came", "info", None),
        ("went", "warning", "again"),
    ]


def test_where_nothing_is_known_yet_the_first_state_is_a_line():
    assert lines_of([None, None], is_known=False) == [("came", "info", None)]
    assert lines_of(["away", "away"], is_known=False) == [("went", "warning", "away")]


def test_a_reason_of_another_kind_is_a_change():
    with capture_logs() as lines:
        state = LoggedState(structlog.get_logger(), fails="in_danger")
        for reason, kind in (("7 days left", "days"), ("6 days left", "days"), ("full", "full")):
            state.note(reason, kind=kind)
        state.note(None)
    assert [line["reason"] for line in lines] == ["7 days left", "full"]


def test_it_says_what_it_was_told_last():
    state = LoggedState(structlog.get_logger(), fails="went", is_known=False)
    assert (state.is_working, state.is_failing, state.reason) == (False, False, None)
    with capture_logs():
        state.note("away")
        assert (state.is_working, state.is_failing, state.reason) == (False, True, "away")
        state.note(None)
    assert (state.is_working, state.is_failing, state.reason) == (True, False, None)


def test_details_go_into_the_line_of_the_end():
    with capture_logs() as lines:
        state = LoggedState(structlog.get_logger(), fails="went", works="came")
        state.note("away", waiting_bytes=1)
        state.note(None, waiting_bytes=2)
    assert [line.get("waiting_bytes") for line in lines] == [None, 2]
