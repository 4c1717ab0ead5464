import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from audit_log.refusals import refusal_of
from audit_log.tokens import Token, hash_token

NOW = datetime(2026, 2, 28, 3, 42, tzinfo=UTC)


def token(**values: Any) -> Token:
    return Token(id=uuid4(), name="ci", **values)


def test_the_hash_is_the_hex_sha256_of_the_whole_value():
    assert hash_token("pwm_abc") == hashlib.sha256(b"pwm_abc").hexdigest()


def test_a_value_that_is_not_utf8_is_hashed_as_it_was_on_the_wire():
    received = b"pwm_\xff\xfe".decode("utf-8", "surrogateescape")

    assert hash_token(received) == hashlib.sha256(b"pwm_\xff\xfe").hexdigest()


def test_a_token_without_dates_is_accepted():
    assert refusal_of(token(), lambda: NOW) is None


def test_a_token_is_accepted_until_it_expires():
    expiring = token(expires_at=NOW)

    assert refusal_of(expiring, lambda: NOW - timedelta(microseconds=1)) is None
    assert refusal_of(expiring, lambda: NOW) == "token has expired"


def test_a_revoked_token_is_refused_by_whatever_clock_it_was_revoked():
    for clock_difference in (timedelta(hours=-1), timedelta(), timedelta(hours=1)):
        revoked = token(revoked_at=NOW + clock_difference, expires_at=NOW)

        assert refusal_of(revoked, lambda: NOW) == "token has been revoked"
