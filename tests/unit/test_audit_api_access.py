from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from audit_api.access.credentials import Credentials, mcp_token, read_credentials
from audit_api.access.gate import refusal_of_status, refusal_of_token
from audit_api.errors import UnauthorizedError
from audit_log.tokens import Token

NOW = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)
A_MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer pwm_abc", "pwm_abc"),
        ("bearer pwm_abc", "pwm_abc"),
        ("BEARER   pwm_abc ", "pwm_abc"),
        ("Bearer pwm_", "pwm_"),
        ("Bearer pwm_" + "a" * 5_000, "pwm_" + "a" * 5_000),
        ("Bearer PWM_abc", None),
        ("Bearer pwc_abc", None),
        ("Bearer eyJhbGciOi.pwm_.x", None),
        ("Basic pwm_abc", None),
        ("pwm_abc", None),
        ("Bearer", None),
        ("Bearerpwm_abc", None),
        ("", None),
        (None, None),
    ],
)
def test_a_token_is_a_bearer_value_with_the_prefix(authorization, token):
    assert mcp_token(authorization, "pwm_") == token


def token(role: str | None = "admin", *, expires=None, revoked=None) -> Token:
    return Token(id=UUID(int=1), name="claude", role=role, expires_at=expires, revoked_at=revoked)


@pytest.mark.parametrize(
    ("known", "status"),
    [
        (token("admin"), None),
        (token("auditor"), None),
        (token("operator"), 403),
        (token("Admin"), 403),
        (token(""), 403),
        (token(None), 403),
        (token("admin", expires=NOW + A_MINUTE), None),
        (token("admin", expires=NOW - A_MINUTE), 401),
        (token("admin", revoked=NOW - A_MINUTE), 401),
        (token("operator", expires=NOW - A_MINUTE), 401),
    ],
)
def test_a_valid_token_with_the_right_role_may_read(known, status):
    refusal = refusal_of_token(known, frozenset({"admin", "auditor"}), lambda: NOW)
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("answered", "status"),
    [
        (200, None),
        (204, None),
        (299, None),
        (401, 401),
        (403, 403),
        *((other, 503) for other in (101, 300, 302, 304, 400, 404, 405, 407, 429, 500, 503, 599)),
    ],
)
def test_podwarden_lets_in_with_2xx_and_refuses_with_401_and_403_only(answered, status):
    refusal = refusal_of_status(answered)
    assert (refusal and refusal.status) == status


def test_credentials_are_taken_as_they_are():
    assert read_credentials(["Bearer x"], ["a=1", "b=2"]) == Credentials(
        "Bearer x", ("a=1", "b=2")
    )
    assert not read_credentials([], [])


@pytest.mark.parametrize(
    ("authorization", "cookies"),
    [
        (["Bearer a", "Bearer b"], []),
        (["Bearer a", "Bearer a"], []),
        (["Bearer pwm_\udcff"], []),
        ([], ["session=\udcff"]),
    ],
)
def test_credentials_that_are_ambiguous_or_no_text_do_not_count(authorization, cookies):
    with pytest.raises(UnauthorizedError):
        read_credentials(authorization, cookies)


@pytest.mark.parametrize(
    ("cookies", "others", "ours"),
    [
        (["podwarden_audit_session=x"], (), "x"),
        (["a=1; podwarden_audit_session=x; b=2"], ("a=1; b=2",), "x"),
        (["a=1", "podwarden_audit_session=x"], ("a=1",), "x"),
        (["a=1;b=2"], ("a=1;b=2",), None),
        (["podwarden_audit_sessions=x"], ("podwarden_audit_sessions=x",), None),
        (["podwarden_audit_session=x; podwarden_audit_session=y"], (), "x"),
        (["podwarden_audit_session"], (), ""),
    ],
)
def test_our_own_cookie_is_taken_out_of_what_podwarden_is_shown(cookies, others, ours):
    assert read_credentials([], cookies) == Credentials(None, others, ours)


def test_credentials_do_not_show_in_logs():
    shown = repr(Credentials("Bearer pwm_secret", ("session=secret",)))
    assert "secret" not in shown
