"""The record as text: what is put together must read as if it had been encoded whole."""

from datetime import UTC, datetime
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from audit_log.record import Attribution, AuditRecord, Outcome
from audit_log.tokens import Token, hash_token
from proxy.audit.exchange import AuditedCall, Cause
from proxy.audit.identity import Credentials
from proxy.audit.record_text import RecordText, ending, opening
from proxy.http.request import parsed_head
from proxy.journal.line import parse, record_body, record_line
from proxy.tokens.memory import MISSING

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, UTC)
HASH = hash_token("pwm_x")
TOKEN = Token(id=uuid4(), name='lap"top\\ é', role="admin")


IN_A_TARGET = [*b'!"', *range(0x24, 0x7F), *range(0x80, 0x100)]
FIELDS = b'Host: a\r\nUser-Agent: a"b\\\xff\r\nX-Request-Id: 7\r\n'


def a_call(path: bytes = b"/x", token_hash: str | Credentials = HASH) -> AuditedCall:
    head = parsed_head(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, FIELDS))
    return AuditedCall(head, token_hash, "::1", "here", lambda: NOW)


def said(call, token, outcome=Outcome.COMPLETED, duration=1.25):
    return RecordText(
        opening(NOW), ending(outcome, 200, duration), call.made_with(token).rest
    ).record


def test_it_says_what_is_known_of_the_call() -> None:
    record = said(a_call(), TOKEN)
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


def test_it_follows_the_token_from_call_to_call() -> None:
    call = a_call()
    assert (said(call, MISSING).token_hash, said(call, MISSING).token_name) == (HASH, None)
    assert said(call, TOKEN).token_name == TOKEN.name
    assert said(call, None).token_name == f"Unknown token ({HASH[:8]})"
    assert said(call, TOKEN).token_hash is None


def test_ambiguous_credentials_are_nobodys() -> None:
    record = said(a_call(token_hash=Credentials.AMBIGUOUS), MISSING)
    assert (record.token_name, record.token_hash) == ("Ambiguous credentials", None)


def test_a_cause_is_said_with_it() -> None:
    cause = Cause("list_clusters", uuid4(), Attribution.EXACT)
    text = RecordText(
        opening(NOW) + cause.members,
        ending(Outcome.INTERRUPTED, 0, None),
        a_call().made_with(TOKEN).rest,
    )
    record = text.record
    assert (record.tool, record.invocation_id) == ("list_clusters", cause.invocation_id)
    assert (record.attribution, record.duration_ms) == (Attribution.EXACT, None)


@given(st.lists(st.sampled_from(IN_A_TARGET), max_size=3_000))
def test_whatever_the_path_it_makes_a_line_and_fits_into_a_slot(path: list[int]) -> None:
    text = RecordText(
        opening(NOW),
        ending(Outcome.COMPLETED, 200, 0.1),
        a_call(b"/" + bytes(path)).made_with(TOKEN).rest,
    )
    line = parse(record_line(3, text).removesuffix(b"\n"))
    assert line is not None
    assert line.record == text.record
    assert len(record_body(text, 4_000)) <= 4_000
