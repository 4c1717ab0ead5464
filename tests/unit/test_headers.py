import pytest

from proxy.http.fields import Fields
from proxy.http.forwarding import (
    request_fields,
    response_fields,
    switched_fields,
    unchunked_response_fields,
    upgrade_of,
)
from proxy.http.peers import Peer

STRANGER = Peer("192.0.2.1", "http", is_trusted=False)
TRUSTED = Peer("10.0.0.1", "http", is_trusted=True)
SEEN = [
    (b"X-Forwarded-For", b"192.0.2.1"),
    (b"X-Forwarded-Proto", b"http"),
    (b"X-Forwarded-Host", b"podwarden"),
]
HOST = (b"Host", b"podwarden")


def sent(*fields, peer=STRANGER):
    return request_fields(Fields([HOST, *fields]), peer)


def test_end_to_end_fields_keep_order_case_repetition_and_bytes():
    fields = [
        (b"x-B", b"1"),
        (b"X-a", b"\xff"),
        (b"x-B", b""),
        (b"Cookie", b"a"),
        (b"Cookie", b"b"),
    ]

    assert sent(*fields) == [HOST, *fields, *SEEN]


@pytest.mark.parametrize(
    "field",
    [
        (b"Connection", b"close"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"TE", b"gzip"),
        (b"Trailer", b"X-Checksum"),
        (b"Upgrade", b"websocket"),
        (b"HTTP2-Settings", b"AAMAAABkAARAAAAAAAIAAAAA"),
    ],
)
def test_hop_by_hop_fields_end_here(field):
    assert sent(field) == [HOST, *SEEN]


def test_fields_named_by_connection_end_here():
    assert sent((b"Connection", b"x-one, X-Two"), (b"X-One", b"1"), (b"x-two", b"2")) == [
        HOST,
        *SEEN,
    ]


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"Transfer-Encoding"])
def test_a_client_cannot_take_the_framing_away_by_naming_it(name):
    assert (name, b"1") in sent((b"Connection", name), (name, b"1"))


def test_an_upgrade_is_passed_on_with_its_connection_option_alone():
    fields = sent((b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", b"websocket"))

    assert fields == [HOST, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), *SEEN]


@pytest.mark.parametrize("protocol", [b"h2c", b"H2C", b"websocket, h2c"])
def test_h2c_is_never_offered_on_because_calls_could_hide_in_it(protocol):
    fields = [(b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", protocol)]

    assert upgrade_of(Fields(fields)) is None
    assert sent(*fields) == [HOST, *SEEN]


def test_an_upgrade_without_its_connection_option_is_none():
    assert upgrade_of(Fields([(b"Upgrade", b"websocket")])) is None


def test_te_trailers_is_passed_on_because_trailers_are():
    assert sent((b"TE", b"gzip, trailers")) == [HOST, (b"TE", b"trailers"), *SEEN]


def test_what_a_stranger_says_of_the_client_is_dropped():
    said = [
        (b"X-Forwarded-For", b"1.1.1.1"),
        (b"x-forwarded-proto", b"https"),
        (b"X-Forwarded-Host", b"evil"),
        (b"Forwarded", b"for=1.1.1.1"),
    ]

    assert sent(*said) == [HOST, *SEEN]


def test_what_a_trusted_proxy_says_of_the_client_is_kept_and_completed():
    said = [
        (b"X-Forwarded-For", b"1.1.1.1"),
        (b"X-Forwarded-For", b"2.2.2.2"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"outside"),
        (b"Forwarded", b"for=1.1.1.1"),
    ]

    assert sent(*said, peer=TRUSTED) == [
        HOST,
        (b"X-Forwarded-For", b"1.1.1.1, 2.2.2.2, 10.0.0.1"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"outside"),
        (b"Forwarded", b"for=1.1.1.1"),
    ]


def test_a_connection_option_cannot_make_us_forget_the_client():
    assert sent((b"Connection", b"X-Forwarded-For")) == [HOST, *SEEN]


def test_an_answer_keeps_its_end_to_end_fields_and_its_framing():
    fields = [
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Trailer", b"X-Checksum"),
    ]

    assert (
        response_fields(Fields([*fields, (b"Connection", b"close, x-own"), (b"X-Own", b"1")]))
        == fields
    )


def test_an_unchunked_answer_says_nothing_of_chunks():
    fields = [(b"A", b"1"), (b"Transfer-Encoding", b"chunked"), (b"Trailer", b"B")]

    assert unchunked_response_fields(Fields(fields)) == [(b"A", b"1")]


def test_a_change_of_protocols_keeps_the_fields_that_make_it_one():
    fields = [(b"Upgrade", b"websocket"), (b"Connection", b"upgrade, x"), (b"Keep-Alive", b"5")]

    assert switched_fields(Fields(fields)) == [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
    ]
