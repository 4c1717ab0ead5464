"""Heads that are sent again: parsed once, and never taken for one another."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.errors import RefusedError
from proxy.http.fields import FieldParser
from proxy.http.head import HeadReader
from proxy.http.request import check_head, parsed_head
from proxy.http.response import check_response_head, parsed_response_head

REQUEST = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def request_heads():
    return HeadReader(parsed_head, check_head)


def read(reader, received):
    found = reader.read(received)
    assert found is not None
    return found


def test_a_request_that_is_sent_again_is_the_same_one():
    reader = request_heads()
    first = read(reader, REQUEST + b"more")
    assert first[1] == len(REQUEST)
    assert read(reader, REQUEST + REQUEST) == first


@pytest.mark.parametrize("cut", range(1, len(REQUEST)))
def test_the_beginning_of_a_request_is_none(cut):
    reader = request_heads()
    reader.read(REQUEST)
    assert reader.read(REQUEST[:cut]) is None


def test_a_head_with_a_field_more_is_another():
    reader = request_heads()
    reader.read(REQUEST)
    longer = REQUEST[:-2] + b"X-A: 1\r\n\r\n"
    head, end = read(reader, longer)
    assert (head.field(b"x-a"), end) == (b"1", len(longer))


def test_a_long_head_is_not_kept():
    reader = request_heads()
    assert read(reader, REQUEST)[0] is read(reader, REQUEST)[0]
    long = REQUEST[:-2] + b"X-A: " + 5_000 * b"a" + b"\r\n\r\n"
    assert read(reader, long)[0] is not read(reader, long)[0]


LONGER = REQUEST[:-2] + b"X-A: 1\r\n\r\n"


@pytest.mark.parametrize("cut", range(1, len(LONGER)))
def test_behind_a_repeated_head_that_came_in_two_pieces_a_shorter_one_is_found(cut):
    """What was searched of one head says nothing of the next."""
    reader = request_heads()
    reader.read(LONGER)
    assert reader.read(LONGER[:cut]) is None
    assert read(reader, LONGER)[1] == len(LONGER)

    head, end = read(reader, REQUEST + REQUEST)
    assert (head.field(b"x-a"), end) == (None, len(REQUEST))


def test_a_malformed_head_is_refused_each_time():
    reader = request_heads()
    reader.read(REQUEST)
    for _ in range(2):
        with pytest.raises(RefusedError):
            reader.read(b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")


@given(st.lists(st.integers(min_value=1, max_value=3 * len(ANSWER)), max_size=6))
def test_an_answer_that_is_sent_again_is_read_the_same_however_it_is_split(cuts):
    fields = FieldParser()
    reader = HeadReader(lambda raw: parsed_response_head(raw, fields), check_response_head)
    wire, received, heads = ANSWER * 3, b"", []
    for start, end in pairwise([0, *sorted(cuts), len(wire)]):
        received += wire[start:end]
        while received and (found := reader.read(received)) is not None:
            heads.append(found[0])
            received = received[found[1] :]
    assert [head.field(b"content-length") for head in heads] == [b"2"] * 3
