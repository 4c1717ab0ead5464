"""The record as text: what is put together must read as if it had been encoded whole."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from audit_log.record import Attribution, AuditRecord, Outcome
from audit_log.tokens import Token, hash_token
from proxy.audit.callers import MAX_REMEMBERED, Callers
from proxy.audit.exchange import Cause
from proxy.audit.identity import Credentials
from proxy.audit.record_text import ending, opening, record_of, request_members
from proxy.http.request import parsed_head
from proxy.journal.line import parse
from proxy.journal.line_text import record_body, record_line
from proxy.tokens.memory import MISSING
from tests.neighbours.records import as_records

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, UTC)
NOW_NS = 1_795_521_600_123_456_789
HASH = hash_token("pwm_x")
TOKEN = Token(id=uuid4(), name='lap"top\\ é', role="admin")


IN_A_TARGET = [*b'!"', *range(0x24, 0x7F), *range(0x80, 0x100)]
FIELDS = b"X-Request-Id: 7\r\n"


def of_request(path: bytes = b"/x", fields: bytes = FIELDS) -> bytes:
    return request_members(parsed_head(b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, fields)))


def of_caller(token=TOKEN, *, callers=None, token_hash=HASH, user_agent=b'a"b\\\xff'):
    return (callers or Callers("here")).members(token_hash, token, "::1", user_agent)


def said(
    *,
    time_ns=NOW_NS,
    request=None,
    caller=None,
    outcome=Outcome.COMPLETED,
    duration=1.25,
    cause=b"",
):
    return record_of(
        opening(time_ns)
        + cause
        + ending(outcome, 200, duration)
        + (request or of_request())
        + (caller or of_caller())
    )


def test_it_says_what_is_known_of_the_call() -> None:
    record = said()
    assert record == AuditRecord(
        id=record.id,
        created_at=NOW,
        method="GET",
        path="/x",
        status_code=200,
        outcome=Outcome.COMPLETED,
        instance="here",
        token_id=TOKEN.id,
        token_name=TOKEN.name,
        duration_ms=1.25,
        client_ip="::1",
        user_agent='a"b\\%FF',
        request_id="7",
    )
    assert record.id.version == 7


def test_what_the_client_did_not_send_is_not_said() -> None:
    record = said(request=of_request(fields=b""), caller=of_caller(user_agent=None))
    assert (record.request_id, record.user_agent) == (None, None)


def test_what_is_not_known_of_the_caller_takes_no_room() -> None:
    assert b"null" not in of_caller(None) + of_caller() + of_caller(user_agent=None)


def test_a_path_is_raw_and_never_longer_than_the_column() -> None:
    assert said(request=of_request(b"/api/%00%2F//x;y?q=1")).path == "/api/%00%2F//x;y"
    assert said(request=of_request("/api/größe".encode())).path == "/api/größe"
    assert len(said(request=of_request(b"/" + b"a" * 30_000)).path) == 2_048


def test_long_words_of_the_client_are_cut() -> None:
    request = of_request(fields=b"X-Request-Id: " + b"b" * 999 + b"\r\n")
    record = said(request=request, caller=of_caller(user_agent=b"a" * 999))
    assert (record.request_id, record.user_agent) == ("b" * 256, "a" * 256)


def test_it_follows_the_token_from_call_to_call() -> None:
    callers = Callers("here")

    def with_token(token):
        record = said(caller=of_caller(token, callers=callers))
        return record.token_hash, record.token_name

    for _ in range(2):
        assert with_token(MISSING) == (HASH, None)
        assert with_token(TOKEN) == (None, TOKEN.name)
        assert with_token(None) == (None, f"Unknown token ({HASH[:8]})")


def test_a_token_that_was_renamed_is_called_by_its_new_name() -> None:
    callers = Callers("here")
    of_caller(callers=callers)
    renamed = Token(id=TOKEN.id, name="new")
    assert said(caller=of_caller(renamed, callers=callers)).token_name == "new"


def test_callers_are_told_apart_by_token_address_and_user_agent() -> None:
    callers = Callers("here")
    every = [
        (hash_token(token), Token(id=uuid4(), name=token), address, agent)
        for token in ("pwm_a", "pwm_b")
        for address in ("::1", "10.0.0.1")
        for agent in (b"a", b"b", None)
    ]
    for _ in range(2):
        for token_hash, token, address, agent in every:
            record = said(caller=callers.members(token_hash, token, address, agent))
            assert (record.token_name, record.client_ip) == (token.name, address)
            assert record.user_agent == (agent and agent.decode())


def test_more_callers_than_are_remembered_are_recorded_all_the_same() -> None:
    callers = Callers("here")
    for number in range(2 * MAX_REMEMBERED + 1):
        agent = b"%d" % number
        record = said(caller=of_caller(callers=callers, user_agent=agent))
        assert record.user_agent == agent.decode()


def test_ambiguous_credentials_are_of_no_token() -> None:
    record = said(caller=of_caller(MISSING, token_hash=Credentials.AMBIGUOUS))
    assert (record.token_name, record.token_hash) == ("Ambiguous credentials", None)


def test_a_cause_is_said_with_it() -> None:
    cause = Cause("list_clusters", uuid4(), Attribution.EXACT)
    record = said(cause=cause.members, outcome=Outcome.INTERRUPTED, duration=None)
    assert (record.tool, record.invocation_id) == ("list_clusters", cause.invocation_id)
    assert (record.attribution, record.duration_ms) == (Attribution.EXACT, None)


@given(st.lists(st.sampled_from(IN_A_TARGET), max_size=3_000), st.binary(max_size=300))
def test_whatever_the_client_sends_it_makes_a_line_and_fits_into_a_slot(
    path: list[int], user_agent: bytes
) -> None:
    text = (
        opening(NOW_NS)
        + ending(Outcome.COMPLETED, 200, 0.1)
        + of_request(b"/" + bytes(path))
        + of_caller(user_agent=user_agent)
    )
    line = parse(record_line(3, text).removesuffix(b"\n"))
    assert line is not None
    assert line.record is not None
    assert as_records([line.record]) == [record_of(text)]
    assert len(record_body(text, 4_000)) <= 4_000


@given(st.integers(min_value=0, max_value=4_102_444_800_000_000_000))
def test_the_time_of_a_call_is_said_to_the_microsecond(time_ns: int) -> None:
    since = said(time_ns=time_ns).created_at - datetime.fromtimestamp(0, UTC)
    assert since // timedelta(microseconds=1) == time_ns // 1_000


def test_the_time_is_right_when_the_clock_is_set_back() -> None:
    for seconds in (0, 1, 0, -86_400, 2):
        record = said(time_ns=NOW_NS + seconds * 1_000_000_000)
        assert record.created_at == NOW + timedelta(seconds=seconds)
