from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_api.access.sessions import Sessions
from tests.neighbours.set_clock import SetClock

SECRET = b"s" * 32


@pytest.fixture
def clock():
    return SetClock()


def test_a_session_leads_back_to_its_token_for_eight_hours(clock):
    sessions = Sessions(SECRET, clock)
    text = sessions.issue("hash")

    clock.now += timedelta(hours=7, minutes=59)
    session = sessions.read(text)
    assert session is not None
    assert session.token_hash == "hash"
    clock.now += timedelta(minutes=1)
    assert sessions.read(text) is None


def test_a_session_is_known_to_whoever_has_the_secret_and_to_nobody_else(clock):
    text = Sessions(SECRET, clock).issue("hash")
    assert Sessions(SECRET, clock).read(text) is not None
    assert Sessions(b"other" * 8, clock).read(text) is None


def test_a_session_that_was_signed_out_is_over_and_others_go_on(clock):
    sessions = Sessions(SECRET, clock)
    first, second = sessions.issue("hash"), sessions.issue("hash")
    session = sessions.read(first)
    assert session is not None

    sessions.end(session)
    assert sessions.read(first) is None
    assert sessions.read(second) is not None


def test_signed_out_sessions_are_forgotten_once_they_have_expired(clock):
    sessions = Sessions(SECRET, clock)
    for _ in range(3):
        session = sessions.read(sessions.issue("hash"))
        assert session is not None
        sessions.end(session)
        clock.now += timedelta(hours=9)
    assert len(sessions._ended) == 1


SIGNED = Sessions(SECRET, SetClock()).issue("hash")


@given(st.integers(0, len(SIGNED) - 2), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_forged_session_is_none(at, character):
    forged = SIGNED[:at] + character + SIGNED[at + 1 :]
    if forged != SIGNED:
        assert Sessions(SECRET, SetClock()).read(forged) is None


@given(st.text())
def test_whatever_else_is_shown_is_no_session(text):
    assert Sessions(SECRET, SetClock()).read(text) is None
