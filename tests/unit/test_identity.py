from datetime import UTC, datetime
from ipaddress import ip_network
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_log.tokens import Token, hash_token
from proxy.audit.identity import Caller, Credentials, TokenRecogniser, principal_in
from proxy.http.fields import Fields
from proxy.http.peers import Peer, client_address
from proxy.http.target import AuditedPaths, path_of, printable

OURS = b"Bearer pwm_abc"


def found(*values):
    return TokenRecogniser("pwm_").token_hash(
        Fields([(b"Authorization", value) for value in values])
    )


@pytest.mark.parametrize(
    "value",
    [
        *(b"Bearer pwm_abc", b"bearer pwm_abc", b"BEARER pwm_abc", b"Bearer  pwm_abc"),
        *(b" Bearer pwm_abc ", b"Bearer pwm_abc\t"),
    ],
)
def test_a_bearer_token_is_found(value):
    assert found(value) == hash_token("pwm_abc")


@pytest.mark.parametrize("token", ["pwm_", "pwm_a-b_c", "pwm_a.b~c+d/e==", "pwm_a.pwm_b"])
def test_a_token_may_contain_what_rfc_6750_allows(token):
    assert found(b"Bearer " + token.encode()) == hash_token(token)


@pytest.mark.parametrize(
    "value",
    [
        *(b"pwm_abc", b" pwm_abc", b"Token pwm_abc", b"Basic pwm_abc", b"Digest u=pwm_abc"),
        *(b"Bearerpwm_abc", b"BEARERpwm_abc", b"Bearer-pwm_abc", b"Bearer:pwm_abc"),
        *(b"Bearer=pwm_abc", b"Bearer\tpwm_abc", b"Bearer \tpwm_abc", b"Bearer\xa0pwm_abc"),
        *(b"Bearer \xa0pwm_abc", b"Bearer pwm_abc\xa0", b"Bearer\x85pwm_abc", b"\xff pwm_abc"),
        *(b"Bearer x pwm_abc", b"Bearer Bearer pwm_abc", b"Bearer pwm_a pwm_b"),
        *(b'Bearer "pwm_abc"', b"Bearer 'pwm_abc'", b"Bearer <pwm_abc>", b'"Bearer pwm_abc"'),
        *(b"Bearer pwm_a,pwm_b", b"Bearer x,pwm_a", b"Bearer pwm_a,", b"Basic eA==, Bearer pwm_a"),
        *(b"Bearer pwm_a, Basic eA==", b"Bearer pwm_a;x", b"Bearer pwm_\xff", b"Bearer pwm_a=b"),
        *(b"Bearer eyJh.e30.c2ln pwm_a", b"Bearer token=pwm_a", b"Bearer eA==pwm_a"),
    ],
)
def test_our_prefix_in_any_other_form_is_ambiguous(value):
    assert found(value) is Credentials.AMBIGUOUS


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"Bearer", b"Bearer ", b"Basic cHdtX2FiYw==", b"Bearer pwc_abc", b"Bearer PWM_abc"),
        *(
            b"Bearer eyJhbGciOiJSUzI1NiJ9.e30.pwm_",
            b"Bearer eyJh.e30.a-pwm_b",
            b"Bearer pwc_apwm_b",
        ),
    ],
)
def test_anything_else_is_none_of_our_business(value):
    assert found(value) is Credentials.OTHER


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_bytes_around_our_prefix_break_the_reading(before, behind):
    assert isinstance(found(before + b"pwm_" + behind), str | Credentials)
    assert found(b"Bearer x" + before + b" pwm_" + behind) is Credentials.AMBIGUOUS


def test_a_request_without_authorization_is_none_of_our_business():
    assert TokenRecogniser("pwm_").token_hash(Fields([(b"Host", b"x")])) is Credentials.OTHER


def test_the_name_of_the_field_may_be_written_in_any_case():
    assert TokenRecogniser("pwm_").token_hash(Fields([(b"AUTHORIZATION", OURS)])) == hash_token(
        "pwm_abc"
    )


def test_a_token_is_recognised_by_its_prefix_and_not_by_its_length():
    assert found(b"Bearer pwm_") == hash_token("pwm_")
    assert found(b"Bearer pwm_" + b"a" * 60_000) == hash_token("pwm_" + "a" * 60_000)


@pytest.mark.parametrize("values", [(OURS, OURS), (OURS, b"Basic x"), (b"", OURS)])
def test_several_fields_with_one_of_ours_are_ambiguous(values):
    assert found(*values) is Credentials.AMBIGUOUS


def test_several_fields_with_none_of_ours_are_left_to_the_api():
    assert found(b"Basic x", b"Basic y") is Credentials.OTHER


@pytest.mark.parametrize(
    "target",
    [
        b"/api/",
        b"/api/v1/hosts",
        b"/api/v1/hosts?x=/elsewhere",
        b"/api/../elsewhere",
        b"/%61pi/v1/hosts",
        b"/api%2Fv1/hosts",
        b"//api/v1/hosts",
        b"///api//v1",
        b"/./api/v1",
        b"/x/../api/v1",
        b"/x/%2e%2e/api/v1",
        b"/\\api/v1",
        b"http://podwarden:8000/api/v1/hosts",
        b"HTTP://podwarden/api/v1",
    ],
)
def test_a_path_is_audited_however_it_is_written(target):
    assert AuditedPaths(["/api/"]).cover(target)


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/mcp",
        b"/apis/v1",
        b"/x/api/v1",
        b"/mcp?next=/api/v1",
        b"/health/../mcp",
        b"/API/v1",
        b"*",
        b"http://api/mcp",
    ],
)
def test_other_paths_are_not_audited(target):
    assert not AuditedPaths(["/api/"]).cover(target)


def test_several_prefixes_can_be_audited():
    paths = AuditedPaths(["/api/", "/admin/"])

    assert paths.cover(b"/api/v1")
    assert paths.cover(b"/admin/x")
    assert not paths.cover(b"/mcp")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?b=c", b"/a"),
        (b"/a?", b"/a"),
        (b"/a%2Fb;c=d//e", b"/a%2Fb;c=d//e"),
        (b"http://host/a?b", b"/a"),
        (b"http://host", b"/"),
        (b"*", b"*"),
    ],
)
def test_the_path_is_what_stands_before_the_query(target, path):
    assert path_of(target) == path


def test_what_postgresql_cannot_hold_is_percent_encoded():
    assert printable(b"a\x00b\xffc\x7f\n") == "a%00b%FFc%7F%0A"


def test_printable_text_always_fits_into_utf_8():
    for byte in range(256):
        printable(bytes([byte])).encode("utf-8")


def test_a_caller_is_named_by_the_token_or_by_the_hash_of_an_unknown_one():
    token = Token(id=uuid4(), name="laptop", expires_at=datetime.now(UTC))

    assert Caller.of("1a2b3c4d5e", token) == Caller(token_id=token.id, token_name="laptop")
    assert Caller.of("1a2b3c4d5e", None) == Caller(token_name="Unknown token (1a2b3c4d)")


def forwarded(*values):
    return Fields([(b"X-Forwarded-For", value) for value in values])


def forwarded_by_name(*values):
    return Fields([(b"Forwarded", value) for value in values])


TRUSTED = (ip_network("10.0.0.0/8"), ip_network("::1/128"))


def seen_from(address, fields):
    return client_address(Peer.at(address, "http", TRUSTED), fields, TRUSTED)


@pytest.mark.parametrize(
    ("peer", "fields", "address"),
    [
        ("192.0.2.1", forwarded(b"198.51.100.7"), "192.0.2.1"),
        ("10.0.0.1", forwarded(b"198.51.100.7"), "198.51.100.7"),
        ("10.0.0.1", forwarded(b"1.1.1.1, 198.51.100.7, 10.0.0.2"), "198.51.100.7"),
        ("10.0.0.1", forwarded(b"1.1.1.1", b"198.51.100.7"), "198.51.100.7"),
        ("10.0.0.1", forwarded(b"10.0.0.3, 10.0.0.2"), "10.0.0.3"),
        ("10.0.0.1", forwarded(b"198.51.100.7, nonsense"), "10.0.0.1"),
        ("10.0.0.1", Fields([]), "10.0.0.1"),
        ("::1", forwarded(b"2001:db8::1"), "2001:db8::1"),
        ("10.0.0.1", forwarded(b"203.0.113.9:41822"), "203.0.113.9"),
        ("10.0.0.1", forwarded(b"1.1.1.1, 203.0.113.9:41822, 10.0.0.2:443"), "203.0.113.9"),
        ("10.0.0.1", forwarded(b"[2001:db8::7]:41822"), "2001:db8::7"),
        ("10.0.0.1", forwarded(b"::ffff:203.0.113.9, ::ffff:10.0.0.2"), "203.0.113.9"),
        ("::ffff:10.0.0.1", forwarded(b"203.0.113.9"), "203.0.113.9"),
        ("::ffff:192.0.2.1", forwarded(b"203.0.113.9"), "192.0.2.1"),
        ("fe80::1%eth0", forwarded(b"203.0.113.9"), "fe80::1"),
        ("10.0.0.1", forwarded(b"203.0.113.9, "), "203.0.113.9"),
    ],
)
def test_the_client_address_is_read_from_right_to_left_as_far_as_it_is_trusted(
    peer, fields, address
):
    assert seen_from(peer, fields) == address


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ((b"for=203.0.113.9",), "203.0.113.9"),
        ((b'For="203.0.113.9:41822";proto=https;by=10.0.0.1',), "203.0.113.9"),
        ((b'for="[2001:db8::7]:41822"',), "2001:db8::7"),
        ((b"for=[2001:db8::7]:41822",), "2001:db8::7"),
        ((b"for=1.1.1.1, for=203.0.113.9;host=a, for=10.0.0.2",), "203.0.113.9"),
        ((b"for=1.1.1.1", b"for=203.0.113.9"), "203.0.113.9"),
        ((b'for=203.0.113.9;host="a,b;for=1.1.1.1"',), "203.0.113.9"),
        ((b"for=203.0.113.9,, ",), "203.0.113.9"),
        # Written by the client, with a quote that would swallow what the proxy appended.
        ((b'for=1.1.1.1;host="', b"for=203.0.113.9"), "203.0.113.9"),
        ((b"for=1.1.1.1, for=unknown, for=10.0.0.2",), "10.0.0.2"),
        ((b"for=1.1.1.1, for=_hidden",), "10.0.0.1"),
        ((b"for=1.1.1.1, proto=https",), "10.0.0.1"),
        ((b"for=1.1.1.1;for=2.2.2.2",), "10.0.0.1"),
        ((b"for=1.1.1.1, nonsense",), "10.0.0.1"),
        ((b'for="1.1.1.1' + b"," * 60_000,), "10.0.0.1"),
    ],
)
def test_forwarded_is_read_like_x_forwarded_for(values, address):
    assert seen_from("10.0.0.1", forwarded_by_name(*values)) == address
    assert seen_from("192.0.2.1", forwarded_by_name(*values)) == "192.0.2.1"


def test_x_forwarded_for_goes_before_forwarded():
    both = Fields([(b"Forwarded", b"for=1.1.1.1"), (b"X-Forwarded-For", b"203.0.113.9")])

    assert seen_from("10.0.0.1", both) == "203.0.113.9"


def test_a_principal_is_in_the_field_that_the_operator_has_named():
    fields = Fields([(b"X-Forwarded-User", "änna\x1b".encode())])
    assert principal_in(fields, b"x-forwarded-user") == "änna%1B"
    assert principal_in(fields, b"x-auth-user") is principal_in(fields, None) is None


def test_of_two_principals_none_is_believed():
    fields = Fields([(b"X-Forwarded-User", b"admin"), (b"x-forwarded-user", b"anna")])
    assert principal_in(fields, b"x-forwarded-user") is None
    assert principal_in(Fields([(b"X-User", b"")]), b"x-user") is None
