"""Heads that are sent again: parsed once, and never taken for one another."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.errors import RefusedError
from proxy.http.request import HeadParser
from proxy.http.response import HeadReader

REQUEST = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def parsed(parser, received):
    found = parser.parse(received)
    assert found is not None
    return found


def test_a_request_that_is_sent_again_is_the_same_one():
    parser = HeadParser()
    first = parsed(parser, REQUEST + b"more")
    assert first[1] == len(REQUEST)
    assert parsed(parser, REQUEST + REQUEST) == first


@pytest.mark.parametrize("cut", range(1, len(REQUEST)))
def test_the_beginning_of_a_request_is_none(cut):
    parser = HeadParser()
    parser.parse(REQUEST)
    assert parser.parse(REQUEST[:cut]) is None


def test_a_head_with_a_field_more_is_another():
    parser = HeadParser()
    parser.parse(REQUEST)
    longer = REQUEST[:-2] + b"X-A: 1\r\n\r\n"
    head, end = parsed(parser, longer)
    assert (head.field(b"x-a"), end) == (b"1", len(longer))


def test_a_long_head_is_not_kept():
    parser = HeadParser()
    head, _ = parsed(parser, REQUEST)
    assert parser.remembers(head)
    head, _ = parsed(parser, REQUEST[:-2] + b"X-A: " + 5_000 * b"a" + b"\r\n\r\n")
    assert not parser.remembers(head)


def test_a_malformed_head_is_refused_each_time():
    parser = HeadParser()
    parser.parse(REQUEST)
    for _ in range(2):
        with pytest.raises(RefusedError):
            parser.parse(b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")


@given(st.lists(st.integers(min_value=1, max_value=3 * len(ANSWER)), max_size=6))
def test_an_answer_that_is_sent_again_is_read_the_same_however_it_is_split(cuts):
    reader, wire, heads = HeadReader(), ANSWER * 3, []
    for start, end in pairwise([0, *sorted(cuts), len(wire)]):
        rest = wire[start:end]
        while rest and (read := reader.feed(rest)) is not None:
            heads.append(read[0])
            rest = read[1]
    assert [head.field(b"content-length") for head in heads] == [b"2"] * 3
