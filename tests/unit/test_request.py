import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.errors import RefusedError
from proxy.http.framing import ChunkedBody, EmptyBody, SizedBody
from proxy.http.head import HeadReader
from proxy.http.request import (
    MAX_HEAD_BYTES,
    HeadTooLongError,
    TargetTooLongError,
    UnsupportedRequestError,
    VersionNotSupportedError,
    check_head,
    parsed_head,
)

HEAD = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


def parsed(line=b"GET /a HTTP/1.1", *fields, host=b"Host: x"):
    return parsed_head(b"\r\n".join([line, host, *fields]) + b"\r\n\r\n")


def test_a_head_is_kept_as_it_was_on_the_wire():
    head = parsed(b"FROB /a%2F//b;c?\xff HTTP/1.1", b"x-Odd:  a\tb\xe9 ", b"X-Empty:", b"x-Odd: 2")

    assert (head.method, head.target) == (b"FROB", b"/a%2F//b;c?\xff")
    assert list(head.fields) == [
        (b"Host", b"x"),
        (b"x-Odd", b"a\tb\xe9"),
        (b"X-Empty", b""),
        (b"x-Odd", b"2"),
    ]


@pytest.mark.parametrize(
    ("line", "fields", "keeps_alive"),
    [
        (b"GET / HTTP/1.1", [], True),
        (b"GET / HTTP/1.1", [b"Connection: x, Close"], False),
        (b"GET / HTTP/1.0", [], False),
        (b"GET / HTTP/1.0", [b"Connection: Keep-Alive"], True),
    ],
)
def test_the_version_and_connection_say_whether_another_request_may_follow(
    line, fields, keeps_alive
):
    assert parsed(line, *fields).keeps_alive is keeps_alive


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        (b"X: y", EmptyBody),
        (b"Content-Length: 0", SizedBody),
        (b"Content-Length: 5", SizedBody),
        (b"Transfer-Encoding: Chunked", ChunkedBody),
    ],
)
def test_the_framing_of_a_request_follows_rfc_9112_section_6_3(field, kind):
    head = parsed(b"POST / HTTP/1.1", field)

    assert isinstance(head.body(), kind)
    assert head.has_body is (field in {b"Content-Length: 5", b"Transfer-Encoding: Chunked"})


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /a HTTP/1.1\nHost: x\n\n",
        b"GET /a HTTP/1.1\r\nHost: x\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\n A: b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
        b"GET /a HTTP/1.1\r\nA: b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x y\r\n\r\n",
        b"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET  /a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a HTTP/1.1 \r\nHost: x\r\n\r\n",
        b"GET /a\r\nHost: x\r\n\r\n",
        b"G\xe9T /a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \xb2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(raw):
    with pytest.raises(RefusedError) as refusal:
        parsed_head(raw)

    assert refusal.value.status == 400


@pytest.mark.parametrize(
    ("field", "line"),
    [
        (b"Transfer-Encoding: gzip, chunked", b"POST / HTTP/1.1"),
        (b"Transfer-Encoding: xchunked", b"POST / HTTP/1.1"),
        (b"Transfer-Encoding: chunked, chunked", b"POST / HTTP/1.1"),
        (b"Transfer-Encoding: \x0bchunked".replace(b"\x0b", b"\xa0"), b"POST / HTTP/1.1"),
        (b"X: y", b"CONNECT x:443 HTTP/1.1"),
    ],
)
def test_what_a_reverse_proxy_cannot_do_is_501(field, line):
    with pytest.raises(UnsupportedRequestError):
        parsed(line, field)


def test_another_version_is_505():
    with pytest.raises(VersionNotSupportedError):
        parsed(b"GET / HTTP/2.0")


def test_a_long_target_is_414_and_long_fields_are_431():
    with pytest.raises(TargetTooLongError):
        parsed(b"GET /" + b"a" * 40_000 + b" HTTP/1.1")
    with pytest.raises(HeadTooLongError):
        parsed(b"GET / HTTP/1.1", b"A: " + b"a" * 70_000)
    with pytest.raises(HeadTooLongError):
        parsed(b"GET / HTTP/1.1", *[b"A: b"] * 300)


@pytest.mark.parametrize(
    ("received", "error"),
    [
        (b"GET /" + b"a" * MAX_HEAD_BYTES, TargetTooLongError),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD_BYTES, HeadTooLongError),
        (b"a" * 100, RefusedError),
        (b"\x16\x03\x01" + b"\x00" * 100, RefusedError),
        (b"hello\n", RefusedError),
        (b"GET /a\r\n", RefusedError),
    ],
)
def test_what_can_never_become_a_head_is_refused_before_it_ends(received, error):
    with pytest.raises(error):
        check_head(received, None)


@given(st.integers(min_value=0, max_value=len(HEAD) - 1), st.binary(max_size=10))
def test_the_end_of_a_head_is_found_however_it_is_split(searched, behind):
    reader = HeadReader(parsed_head, check_head)

    assert reader.read(HEAD[:searched]) is None
    read = reader.read(HEAD + behind)
    assert read is not None
    assert (read[0].target, read[1]) == (b"/a", len(HEAD))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(raw):
    try:
        head = parsed_head(raw + b"\r\n\r\n")
    except RefusedError:
        return
    assert head.method


def test_a_long_id_of_the_client_is_cut():
    head = parsed(b"GET / HTTP/1.1", b"X-Request-Id: " + b"b" * 999)

    assert head.request_id == "b" * 256
