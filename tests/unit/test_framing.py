from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.fields import Fields
from proxy.http.framing import (
    BodyUntilClose,
    ChunkedBody,
    EmptyBody,
    FramingError,
    SizedBody,
    chunks,
    response_body,
)


def split(data, cuts):
    """Return *data* in pieces, cut at *cuts* modulo its length."""
    at = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(at)]


def read(body, pieces):
    """Return what *body* takes of *pieces*, and its content."""
    content: list[bytes] = []
    taken = 0
    for piece in pieces:
        count = body.take(piece, content.append)
        taken += count
        if count < len(piece):
            break
    return taken, b"".join(content)


contents = st.lists(st.binary(min_size=1, max_size=300), max_size=6)
cuts = st.lists(st.integers(min_value=0, max_value=10_000), max_size=12)


@given(contents, cuts, st.binary(max_size=20))
def test_a_chunked_body_ends_where_it_ends_however_it_is_split(parts, cuts, behind):
    wire = b"".join(chunks(parts, is_end=True))
    body = ChunkedBody()

    assert read(body, split(wire + behind, cuts)) == (len(wire), b"".join(parts))
    assert body.is_complete


@given(st.binary(max_size=300), cuts)
def test_a_chunked_body_takes_any_bytes_without_failing_in_another_way(data, cuts):
    try:
        taken, _ = read(ChunkedBody(), split(data, cuts))
    except FramingError:
        return
    assert taken <= len(data)


def test_extensions_and_trailers_belong_to_the_body():
    wire = b'5;a=b;c="d"\r\nhello\r\n0\r\nX-Checksum: 1\r\nX-More: 2\r\n\r\n'
    body = ChunkedBody()

    assert read(body, [wire + b"HTTP/1.1"]) == (len(wire), b"hello")
    assert body.is_complete


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\n",
        b"\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\na\r\n",
        b"1 1\r\na\r\n",
        b" 1\r\na\r\n",
        b"1\na\r\n",
        b"1\r\r\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n\n",
        b"1;\x00\r\na\r\n",
        b"1111111111111111\r\n",
        b"0\r\nA: b\n\r\n",
        b"1;" + b"a" * 5_000,
        b"0\r\n" + b"A: b\r\n" * 20_000,
    ],
)
def test_chunks_that_can_be_read_in_two_ways_are_refused(wire):
    with pytest.raises(FramingError):
        ChunkedBody().take(wire)


@given(st.binary(max_size=100), cuts, st.binary(max_size=20))
def test_a_sized_body_ends_after_its_size(content, cuts, behind):
    body = SizedBody(len(content))

    assert read(body, split(content + behind, cuts)) == (len(content), content)
    assert body.is_complete


def test_a_body_until_close_takes_everything_and_never_ends():
    body = BodyUntilClose()

    assert read(body, [b"a", b"b"]) == (2, b"ab")
    assert not body.is_complete


@pytest.mark.parametrize(
    ("method", "status", "fields", "kind"),
    [
        (b"GET", 200, [], BodyUntilClose),
        (b"GET", 200, [(b"Content-Length", b"5")], SizedBody),
        (b"GET", 200, [(b"transfer-encoding", b"Chunked")], ChunkedBody),
        (b"HEAD", 200, [(b"Content-Length", b"5")], EmptyBody),
        (b"HEAD", 200, [(b"Transfer-Encoding", b"chunked")], EmptyBody),
        (b"GET", 204, [], EmptyBody),
        (b"GET", 304, [(b"Content-Length", b"5")], EmptyBody),
    ],
)
def test_the_framing_of_an_answer_follows_rfc_9112_section_6_3(method, status, fields, kind):
    assert isinstance(response_body(method, status, Fields(fields), is_http_10=False), kind)


@pytest.mark.parametrize(
    ("fields", "is_http_10"),
    [
        ([(b"Content-Length", b"5"), (b"Content-Length", b"6")], False),
        ([(b"Content-Length", b"5"), (b"Content-Length", b"5")], False),
        ([(b"Content-Length", b"+5")], False),
        ([(b"Content-Length", b"5, 5")], False),
        ([(b"Content-Length", b"")], False),
        ([(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5")], False),
        ([(b"Transfer-Encoding", b"gzip, chunked")], False),
        ([(b"Transfer-Encoding", b"xchunked")], False),
        ([(b"Transfer-Encoding", b"chunked")], True),
    ],
)
def test_an_answer_that_can_be_framed_in_two_ways_is_refused(fields, is_http_10):
    with pytest.raises(FramingError):
        response_body(b"GET", 200, Fields(fields), is_http_10=is_http_10)
