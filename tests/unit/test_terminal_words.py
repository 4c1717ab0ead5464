"""What an operator types and what a terminal is shown."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from audit_api.terminal.filter_words import FilterError, read_filters
from audit_api.terminal.screen import visible

NOW = datetime(2026, 11, 29, 2, 30, tzinfo=timezone(timedelta(hours=1)))


def test_filters_are_passed_on_with_their_operators():
    assert read_filters(
        ["status=4xx,5xx", "token_name!=ci", "duration_ms>=500", "path=/a=b", "duration_ms<9"], NOW
    ) == {
        "status": "4xx,5xx",
        "token_name!": "ci",
        "duration_ms>": "500",
        "path": "/a=b",
        "duration_ms<": "9",
    }


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("2h", "2026-11-29T00:30:00+01:00"),
        ("15m", "2026-11-29T02:15:00+01:00"),
        ("today", "2026-11-29T00:00:00+01:00"),
        ("yesterday", "2026-11-28T00:00:00+01:00"),
        ("2026-01-01", "2026-01-01"),
        ("soon", "soon"),
    ],
)
def test_moments_are_worked_out_in_the_zone_of_the_operator(typed, sent):
    assert read_filters([f"since={typed}"], NOW) == {"since": sent}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["claude"], "`claude` is no filter: write name=value, as in status=4xx or since=2h"),
        (["=4xx"], "`=4xx` is no filter"),
        (["status=4xx", "status=5xx"], "`status` is given twice: write its values with commas"),
        (["since=999999w"], "a moment is before the year 1"),
    ],
)
def test_what_is_no_filter_is_told(words, complaint):
    with pytest.raises(FilterError) as told:
        read_filters(words, NOW.astimezone(UTC))
    assert str(told.value).startswith(complaint)


def test_text_of_strangers_does_not_reach_the_terminal_as_it_is():
    assert visible("clusters/żółw 🚀") == "clusters/żółw 🚀"
    assert visible("a\x1b[2Jb\u202ec\U000e0001") == r"a\u001b[2Jb\u202ec\udb40\udc01"
